// One step of an optimizer on one element. The order of operations is PyTorch's (torch/optim/*.py;
// lerp, addcmul and addcdiv of ATen) but for Adam's corrections, so that float64 agrees with it to
// the last digits. Included inside namespace dlx::<instruction set> or dlx::cuda.
#pragma once

constexpr float square_root(float x) { return __builtin_sqrtf(x); }
constexpr double square_root(double x) { return __builtin_sqrt(x); }

// A CPU compiles a loop for each setting, and hands constants in; a GPU decides as it goes.
struct StepFlags {
  bool decays = false;        // the gradient has the weight decay
  bool has_momentum = false;  // its first step starts it at g, Nesterov's included
  bool first = false, nesterov = false;
  bool amsgrad = false, centered = false;
  bool from_mean = false;  // see StepNumbers::mean
};

// ATen's lerp has two sides; from_mean is the one without cancellation for beta > 1/2.
constexpr bool is_from_mean(double beta) { return 1 - beta < 0.5; }

// The numbers of a step as what they are computed in.
template <class T>
struct StepNumbers {
  T scale, wd, lr, decay, eps, momentum, undampened;
  T beta2, rest;    // rest = 1 - beta2
  T to_d, to_mean;  // 1 - beta and beta of the mean of g

  // beta: of the mean of g
  constexpr StepNumbers(const OptimizerNumbers& x, double beta)
      : scale(static_cast<T>(x.grad_scale)),
        wd(static_cast<T>(x.weight_decay)),
        lr(static_cast<T>(x.lr)),
        decay(static_cast<T>(x.decay)),
        eps(static_cast<T>(x.eps)),
        momentum(static_cast<T>(x.momentum)),
        undampened(static_cast<T>(x.undampened)),
        beta2(static_cast<T>(x.beta2)),
        rest(static_cast<T>(1 - x.beta2)),
        to_d(static_cast<T>(1 - beta)),
        to_mean(static_cast<T>(1 - (1 - beta))) {}

  // g scaled, with the weight decay.
  constexpr T gradient(bool decays, T g, T p) const {
    return decays ? g * scale + wd * p : g * scale;
  }
  // beta mean + (1 - beta) d
  constexpr T mean(bool from_mean, T mean, T d) const {
    return from_mean ? mean + to_d * (d - mean) : d - to_mean * (d - mean);
  }
  // beta2 square + (1 - beta2) d^2
  constexpr T mean_square(T square, T d) const { return square * beta2 + rest * d * d; }
};

// Each takes g and changes p and the states, those that the optimizer keeps (optimizer.h).

template <class T>
[[gnu::always_inline]] constexpr void sgd_step(const StepNumbers<T>& x, StepFlags is, T g, T& p,
                                               T& b) {
  T d = x.gradient(is.decays, g, p);
  if (is.has_momentum) {
    b = is.first ? d : b * x.momentum + x.undampened * d;
    d = is.nesterov ? d + x.momentum * b : b;
  }
  p = p - x.lr * d;
}

// m, v: the running means of g and g^2; most: the greatest v so far.
template <class T>
[[gnu::always_inline]] constexpr void adam_step(const StepNumbers<T>& x, StepFlags is, T g, T& p,
                                                T& m, T& v, T& most) {
  const T d = x.gradient(is.decays, g, p);
  m = x.mean(is.from_mean, m, d);
  v = x.mean_square(v, d);
  T square = v;
  if (is.amsgrad) most = square = most >= square ? most : square;  // NaN stays
  p = p * x.decay - x.lr * m / (square_root(square) + x.eps);
}

// square, mean: the running means of g^2 and g; b: the momentum.
template <class T>
[[gnu::always_inline]] constexpr void rmsprop_step(const StepNumbers<T>& x, StepFlags is, T g, T& p,
                                                   T& square, T& b, T& mean) {
  const T d = x.gradient(is.decays, g, p);
  square = x.mean_square(square, d);
  T spread = square;
  if (is.centered) {
    mean = x.mean(is.from_mean, mean, d);
    spread = spread - mean * mean;
  }
  const T divisor = square_root(spread) + x.eps;
  if (is.has_momentum) {
    b = b * x.momentum + d / divisor;
    p = p - x.lr * b;
  } else {
    p = p - x.lr * d / divisor;
  }
}

// sum: of g^2 over all steps.
template <class T>
[[gnu::always_inline]] constexpr void adagrad_step(const StepNumbers<T>& x, StepFlags is, T g, T& p,
                                                   T& sum) {
  const T d = x.gradient(is.decays, g, p);
  sum = sum + d * d;
  p = p - x.lr * d / (square_root(sum) + x.eps);
}

// square, moved: the running means of g^2 and of the squares of the steps at lr = 1.
template <class T>
[[gnu::always_inline]] constexpr void adadelta_step(const StepNumbers<T>& x, StepFlags is, T g,
                                                    T& p, T& square, T& moved) {
  const T d = x.gradient(is.decays, g, p);
  square = x.mean_square(square, d);
  const T delta = square_root(moved + x.eps) / square_root(square + x.eps) * d;
  moved = x.mean_square(moved, delta);
  p = p - x.lr * delta;
}
