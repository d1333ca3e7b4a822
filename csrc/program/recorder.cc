#include "program/recorder.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"

namespace dlx {
namespace {

thread_local int recordings = 0;

void require(bool holds, const auto&... parts) {
  DLX_CHECK_AS(std::runtime_error, holds, parts...);
}

struct Closed {
  explicit Closed(std::atomic<bool>& program) : busy(program) {
    require(!busy.exchange(true), "replay: the program is replaying already");
    ++door_closed;
  }
  ~Closed() { --door_closed, busy = false; }
  std::atomic<bool>& busy;
};

}  // namespace

Program::~Program() {
  for (const Memory& m : memories_)
    if (m.pinned) unpin(m.pinned);
}

void Program::start(Ctx& ctx) {
  require(first_id_ == 0, "record_program: a program records once");
  add_observer(ctx, this);
  ctx_ = &ctx;
  first_id_ = empty({}, DType::uint8, ctx.device).storage->id;
  ++recordings;
}

void Program::stop(bool complete) {
  require(ctx_ == &current_ctx(), "record_program: not recording on this thread");
  remove_observer(*std::exchange(ctx_, nullptr), this);
  --recordings;
  complete_ = complete;
}

Program::Buffer Program::buffer_of(const Array& a, bool overwritten) {
  Storage* s = a.storage.get();
  const auto [at, is_new] = index_.try_emplace(s->id, memories_.size());
  if (is_new) {
    Memory& m = memories_.emplace_back();
    m.bytes = s->bytes;
    m.device = s->device;
    const auto* data = static_cast<const char*>(s->data);
    if (s->id < first_id_)
      pin(m.pinned = s);
    else if (m.device == Device{} && (!overwritten || a.bytes() < s->bytes))
      m.initial.assign(data, data + s->bytes);
  }
  return {at->second, a.offset * size_of(a.dtype)};
}

void Program::before(const Launch& launch) {
  const auto* shape = static_cast<const char*>(launch.shape);
  const Outputs y = launch.outputs;
  Call call{&launch.op, {shape, shape + launch.shape_bytes}, y[0]->device(), {}};
  const auto overwrites = [&](size_t i) { return (launch.op.updates >> i & 1) == 0; };
  for (const Array* a : launch.inputs) {
    // A number among pointwise operands has no memory: the output stands in for it, unread.
    const size_t same = static_cast<size_t>(std::find(y.begin(), y.end(), a) - y.begin());
    call.buffers.push_back(buffer_of(*a, same < y.size() && overwrites(same)));
  }
  for (size_t i = 0; i < y.size(); ++i) {
    call.buffers.push_back(buffer_of(*y[i], overwrites(i)));
    memories_[call.buffers.back().memory].written = true;
  }
  calls_.push_back(std::move(call));
}

void Program::host_read(const Array& a) {
  require(false, "record_program: Python reads a value, ", a.dtype, " of shape ", a.shape,
          ", after ", last(), "; a replay cannot do what Python does with it");
}

void Program::cell_moves(const Array& from) {
  require(from.storage->id >= first_id_, "record_program: a tensor from before the recording, ",
          from.dtype, " of shape ", from.shape, ", would get other memory, after ", last(),
          "; write in place (x[...] = v), while no other tensor shares the memory");
}

std::vector<const char*> Program::launches() const {
  require(!ctx_ || ctx_ == &current_ctx(), "launches: another thread is recording them");
  std::vector<const char*> names;
  for (const Call& call : calls_) names.push_back(call.op->name);
  return names;
}

void Program::replay(int64_t steps, const std::vector<Feed>& feeds) {
  require(complete_ && recordings == 0, "replay: the recording has not come to its end");
  const Closed door(replaying_);
  std::vector<char*> data;  // of every memory
  for (Memory& m : memories_) {
    if (!m.pinned && !m.own.storage) m.own = empty({m.bytes}, DType::uint8, m.device);
    data.push_back(static_cast<char*>(m.pinned ? m.pinned->data : m.own.data()));
  }
  std::vector<int64_t> stride(memories_.size());  // bytes from one step's values to the next's
  for (size_t k = 0; k < feeds.size(); ++k) {
    const Array &x = feeds[k].tensor, &values = feeds[k].values;
    const auto at = index_.find(x.storage->id);
    DLX_CHECK(at != index_.end(), "replay: the program does not read feed ", k);
    const Memory& m = memories_[at->second];
    DLX_CHECK(m.pinned && !m.written, "replay: feed ", k, " is computed by the program itself");
    DLX_CHECK(x.is_dense() && x.bytes() == m.bytes, "replay: feed ", k, " is a view of a part");
    data[at->second] = static_cast<char*>(values.data());
    stride[at->second] = x.bytes();
  }
  for (const Memory& m : memories_) {
    const int64_t cells = m.pinned && m.written ? m.pinned->cells() : 1;
    require(cells == 1, "replay: a tensor of ", m.bytes, " bytes that the program updates ",
            cells ? "shares its memory with another; drop or clone() that one" : "is gone");
  }
  std::vector<void*> buffers;
  for (int64_t step = 0; step < steps; ++step) {
    for (const Memory& m : memories_)
      if (!m.initial.empty() && (step == 0 || m.written))
        std::memcpy(m.own.data(), m.initial.data(), m.initial.size());
    for (const Call& call : calls_) {
      buffers.clear();
      for (const Buffer& b : call.buffers) buffers.push_back(data[b.memory] + b.offset);
      run_kernel(current_ctx(), *call.op, call.shape.data(), call.shape.size(), buffers.data(),
                 call.device);
    }
    for (size_t i = 0; i < data.size(); ++i) data[i] += stride[i];
  }
}

}  // namespace dlx
