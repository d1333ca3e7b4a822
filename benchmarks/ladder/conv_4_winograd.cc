// Winograd's F(2x2,3x3) (Lavin and Gray 2015, arXiv:1509.09308): a 2x2 tile of outputs from a 4x4
// tile of inputs takes 16 products a channel instead of 36, all of them in 16 matrix products over
// the channels. A block of tiles is transformed, multiplied and transformed back while in cache.
#include "conv.h"
#include "packed.h"

constexpr int64_t kTileRows = H / 2, kTileCols = W / 2, kTiles = kTileRows * kTileCols;
constexpr int64_t kPitch = W + 2, kPlane = (H + 2) * kPitch;

// u[e] (C, kRows) panels: G w G^T of every filter
static void transform_weights(const float* w, float* u) {
  static Floats plain(16 * K * C);
  for (int64_t i = 0; i < K * C; ++i) {
    float half[4][3];
    for (int s = 0; s < 3; ++s) {
      const float w0 = w[i * 9 + s], w1 = w[i * 9 + 3 + s], w2 = w[i * 9 + 6 + s];
      half[0][s] = w0, half[3][s] = w2;
      half[1][s] = (w0 + w1 + w2) / 2, half[2][s] = (w0 - w1 + w2) / 2;
    }
    for (int r = 0; r < 4; ++r) {
      const float* h = half[r];
      float* to = plain.data() + i;
      to[(4 * r + 0) * K * C] = h[0], to[(4 * r + 3) * K * C] = h[2];
      to[(4 * r + 1) * K * C] = (h[0] + h[1] + h[2]) / 2;
      to[(4 * r + 2) * K * C] = (h[0] - h[1] + h[2]) / 2;
    }
  }
  for (int64_t e = 0; e < 16; ++e)
    pack_rows(plain.data() + e * K * C, C, K, C, u + e * (K + kRows) * C);
}

// v[e] (C, kCols): B^T x B of the block's tiles, a lane each
static void transform_images(const float* copy, int64_t first, float* v) {
  for (int64_t c = 0; c < C; ++c) {
    float in[4][4][kCols] = {}, half[4][4][kCols];
    for (int64_t t = 0; t < kCols && first + t < kTiles; ++t) {
      const int64_t tile = first + t;
      const float* from =
          copy + c * kPlane + 2 * (tile / kTileCols) * kPitch + 2 * (tile % kTileCols);
      for (int r = 0; r < 4; ++r)
        for (int s = 0; s < 4; ++s) in[r][s][t] = from[r * kPitch + s];
    }
    for (int s = 0; s < 4; ++s)
      for (int t = 0; t < kCols; ++t) {
        half[0][s][t] = in[0][s][t] - in[2][s][t], half[1][s][t] = in[1][s][t] + in[2][s][t];
        half[2][s][t] = in[2][s][t] - in[1][s][t], half[3][s][t] = in[1][s][t] - in[3][s][t];
      }
    for (int r = 0; r < 4; ++r) {
      float* to = v + (4 * r * C + c) * kCols;
      for (int t = 0; t < kCols; ++t) {
        to[t] = half[r][0][t] - half[r][2][t];
        to[C * kCols + t] = half[r][1][t] + half[r][2][t];
        to[2 * C * kCols + t] = half[r][2][t] - half[r][1][t];
        to[3 * C * kCols + t] = half[r][1][t] - half[r][3][t];
      }
    }
  }
}

// y's tiles: A^T m A of m[e] (K, kCols)
static void transform_outputs(const float* m, int64_t first, float* y) {
  const int64_t tiles = std::min<int64_t>(kCols, kTiles - first);
  for (int64_t k = 0; k < K; ++k) {
    float half[2][4][kCols], out[2][2][kCols];
    const float* from = m + k * kCols;
    const auto in = [&](int r, int s, int t) { return from[(4 * r + s) * K * kCols + t]; };
    for (int s = 0; s < 4; ++s)
      for (int t = 0; t < kCols; ++t) {
        half[0][s][t] = in(0, s, t) + in(1, s, t) + in(2, s, t);
        half[1][s][t] = in(1, s, t) - in(2, s, t) - in(3, s, t);
      }
    for (int r = 0; r < 2; ++r)
      for (int t = 0; t < kCols; ++t) {
        out[r][0][t] = half[r][0][t] + half[r][1][t] + half[r][2][t];
        out[r][1][t] = half[r][1][t] - half[r][2][t] - half[r][3][t];
      }
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t tile = first + t;
      float* to = y + k * H * W + 2 * (tile / kTileCols) * W + 2 * (tile % kTileCols);
      to[0] = out[0][0][t], to[1] = out[0][1][t];
      to[W] = out[1][0][t], to[W + 1] = out[1][1][t];
    }
  }
}

void conv(const float* x, const float* w, float* y) {
  static Floats copy(C * kPlane), u(16 * (K + kRows) * C), v(16 * C * kCols), m(16 * K * kCols);
  transform_weights(w, u.data());
  for (int64_t image = 0; image < N; ++image) {
    for (int64_t c = 0; c < C; ++c)
      for (int64_t h = 0; h < H; ++h) {
        const float* row = x + ((image * C + c) * H + h) * W;
        std::copy(row, row + W, copy.data() + c * kPlane + (h + 1) * kPitch + 1);
      }
    for (int64_t first = 0; first < kTiles; first += kCols) {
      transform_images(copy.data(), first, v.data());
      for (int64_t e = 0; e < 16; ++e)
        for (int64_t k = 0; k < K; k += kRows)
          any_tile(std::min<int64_t>(kRows, K - k), C, u.data() + (e * (K + kRows) + k) * C,
                   v.data() + e * C * kCols, m.data() + (e * K + k) * kCols, kCols, false);
      transform_outputs(m.data(), first, y + image * K * H * W);
    }
  }
}
