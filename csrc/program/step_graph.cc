#include "program/step_graph.h"

#include <algorithm>

#include "core/check.h"
#include "program/run_call.h"

namespace dlx {
namespace {

constexpr int64_t kApart = 256;       // bytes; blocks begin at multiples of it
constexpr int64_t kMostCaptures = 8;  // until launches one by one are taken to be cheaper

int64_t workspace_of(const RecordedCall& call) {
  const Workspace bytes = call.op->workspace[static_cast<int>(call.device.kind)];
  return bytes ? bytes(call.shape.data()) : 0;
}

size_t at(int32_t i) { return static_cast<size_t>(i); }

}  // namespace

StepGraph::StepGraph(const Record& record, std::vector<GraphedMemory> memories)
    : record_(record), memories_(std::move(memories)) {
  find_pieces();
  find_watched();
}

bool StepGraph::fits_a_graph(const RecordedCall& call) const {
  return call.device == device_ && !call.op->crosses &&
         std::all_of(call.arrays.begin(), call.arrays.end(), [&](const RecordedArray& a) {
           return record_.memories[at(a.memory)].device == device_;
         });
}

void StepGraph::find_pieces() {
  const auto on_gpu = std::find_if(record_.calls.begin(), record_.calls.end(), [](const auto& c) {
    return c.device.kind != DeviceKind::cpu && !c.op->crosses;
  });
  if (on_gpu == record_.calls.end()) return give_up("no kernel runs on a GPU");
  device_ = on_gpu->device;
  for (size_t i = 0; i < record_.calls.size(); ++i) {
    const bool fits = fits_a_graph(record_.calls[i]);
    if (pieces_.empty() || pieces_.back().is_graph != fits) pieces_.push_back({i, i, fits, {}});
    pieces_.back().last = i;
    if (fits && record_.calls[i].op->can_fail) pieces_.back().can_fail.push_back(i);
    const int most = cuda_backend()->graphs.most_error_slots;
    if (pieces_.back().can_fail.size() > at(most))
      return give_up(message("more than ", most, " of its launches can fail"));
  }
}

void StepGraph::find_watched() {
  std::vector<int> number(memories_.size(), -1);
  for (const Piece& piece : pieces_)
    for (size_t i = piece.first; piece.is_graph && i <= piece.last; ++i)
      for (const RecordedArray& a : record_.calls[i].arrays)
        if (memories_[at(a.memory)].may_move && number[at(a.memory)] < 0) {
          number[at(a.memory)] = static_cast<int>(watched_.size());
          watched_.push_back({at(a.memory)});
        }
  for (const RecordedCall& call : record_.calls)
    for (const RecordedArray& a : call.arrays) {
      if (number[at(a.memory)] < 0 || a.shape.product() == 0) continue;
      Watched& w = watched_[at(number[at(a.memory)])];
      int64_t low = a.offset, high = a.offset + size_of(a.dtype);
      for (int i = 0; i < a.shape.ndim; ++i) {
        const int64_t reach = (a.shape[i] - 1) * a.strides[i] * size_of(a.dtype);
        (reach < 0 ? low : high) += reach;
      }
      const bool first = w.low == w.high;
      w.low = first ? low : std::min(w.low, low);
      w.high = first ? high : std::max(w.high, high);
    }
}

bool StepGraph::run(Ctx& ctx, const std::vector<char*>& data, size_t& launched) {
  if (!reason_.empty()) return false;
  const bool stale = note_moves(data);
  if (!seen_) {
    seen_ = true;
    return false;
  }
  data_ = data;
  if (stale || captures_ == 0) {
    try {
      make_pool();
      capture(ctx);
    } catch (const std::exception& error) {
      give_up(error.what());
    }
    if (!reason_.empty()) return false;
  }
  for (const Watched& w : watched_)
    if (w.own) data_[w.memory] = static_cast<char*>(pool_.storage->data) + w.place - w.low;
  use_on_current_stream(*pool_.storage.get(), true);
  const auto& graphs = cuda_backend()->graphs;
  cuda_backend()->enter(device_);
  for (const Watched& w : watched_)
    if (w.own && memories_[w.memory].is_read && w.high > w.low)
      graphs.copy(device_, data_[w.memory] + w.low, data[w.memory] + w.low, w.high - w.low);
  const auto copy_back = [&] {
    for (const Watched& w : watched_)
      if (w.own && memories_[w.memory].written && w.high > w.low)
        graphs.copy(device_, data[w.memory] + w.low, data_[w.memory] + w.low, w.high - w.low);
  };
  try {
    for (const Piece& piece : pieces_) run_piece(ctx, piece, launched);
  } catch (...) {  // what was written in place until then stays
    copy_back();
    throw;
  }
  copy_back();
  ++replays_;
  return true;
}

// A memory that moves again and again gets a block of its own. State moves now and then, when it is
// loaded or swapped, and is too large to be copied twice at every step for that.
bool StepGraph::note_moves(const std::vector<char*>& data) {
  bool stale = false;
  for (Watched& w : watched_) {
    if (w.own || w.bound == data[w.memory]) continue;
    stale = true;
    if (w.bound) ++w.moves;
    w.bound = data[w.memory];
    w.own = w.moves > (memories_[w.memory].varies ? 0 : 1);
  }
  return stale;
}

void StepGraph::make_pool() {
  for (Piece& piece : pieces_) piece.graph.reset();
  int64_t bytes = 0, workspace = 0;
  const auto take = [&](int64_t wanted) {
    return std::exchange(bytes, bytes + (wanted + kApart - 1) / kApart * kApart);
  };
  for (Watched& w : watched_)
    if (w.own) w.place = take(w.high - w.low);
  for (Piece& piece : pieces_) {
    const auto count = static_cast<int64_t>(piece.can_fail.size());
    piece.reports = take(count * cuda_backend()->graphs.report_bytes);
    for (size_t i = piece.first; piece.is_graph && i <= piece.last; ++i)
      workspace = std::max(workspace, workspace_of(record_.calls[i]));
  }
  workspace_ = take(workspace);
  if (!pool_.storage || pool_.storage->bytes != bytes) {
    pool_ = Array();
    pool_ = empty({bytes}, DType::uint8, device_);
    bytes_ = bytes;
  }
}

void StepGraph::capture(Ctx& ctx) {
  if (++captures_ > kMostCaptures)
    return give_up(message("its state has come to lie elsewhere at ", kMostCaptures, " replays"));
  for (const Watched& w : watched_)
    if (w.own) data_[w.memory] = static_cast<char*>(pool_.storage->data) + w.place - w.low;
  for (Piece& piece : pieces_)
    if (piece.is_graph)
      piece.graph.reset(cuda_backend()->graphs.capture(device_, [&] { issue(ctx, piece); }));
}

void StepGraph::issue(Ctx& ctx, const Piece& piece) const {
  const DeviceBackend& backend = *cuda_backend();
  char* const pool = static_cast<char*>(pool_.storage->data);
  char* report = pool + piece.reports;
  if (!piece.can_fail.empty())
    backend.fill(device_, report, 0,
                 static_cast<int64_t>(piece.can_fail.size()) * backend.graphs.report_bytes);
  for (size_t i = piece.first; i <= piece.last; ++i) {
    const RecordedCall& call = record_.calls[i];
    issue_kernel(ctx, *call.op, call.shape.data(), buffers_of(call), device_, pool + workspace_,
                 call.op->can_fail ? report : nullptr);
    if (call.op->can_fail) report += backend.graphs.report_bytes;
  }
}

void StepGraph::run_piece(Ctx& ctx, const Piece& piece, size_t& launched) {
  launched = piece.first;
  const DeviceBackend& backend = *cuda_backend();
  if (!piece.is_graph) {
    for (; launched <= piece.last; ++launched) {
      const RecordedCall& call = record_.calls[launched];
      run_call(ctx, record_, call, buffers_of(call));
    }
    return;
  }
  // What its launches report goes to slots of this thread, as if each had been launched by itself.
  const auto count = static_cast<int>(piece.can_fail.size());
  void* slots = nullptr;
  if (count) backend.graphs.reserve_error_slots(device_, count);
  for (const size_t i : piece.can_fail) {
    const RecordedCall& call = record_.calls[i];
    void* slot = backend.error_slot(device_, *call.op, call.shape.data(), call.shape.size());
    if (!slots) slots = slot;
  }
  backend.graphs.launch(piece.graph.get(), device_);
  if (count)
    backend.graphs.copy(device_, slots, static_cast<char*>(pool_.storage->data) + piece.reports,
                        count * backend.graphs.report_bytes);
  launched = piece.last + 1;
}

void* const* StepGraph::buffers_of(const RecordedCall& call) const {
  buffers_.clear();
  for (const RecordedArray& a : call.arrays) buffers_.push_back(data_[at(a.memory)] + a.offset);
  return buffers_.data();
}

void StepGraph::give_up(std::string reason) {
  reason_ = std::move(reason);
  for (Piece& piece : pieces_) piece.graph.reset();
  pool_ = Array();
  bytes_ = 0;
}

std::string StepGraph::text() const {
  if (!reason_.empty()) return message("replayed launch by launch: ", reason_);
  size_t graphs = 0, inside = 0, outside = 0;
  for (const Piece& p : pieces_) {
    graphs += p.is_graph;
    (p.is_graph ? inside : outside) += p.last - p.first + 1;
  }
  const std::string what =
      message(graphs == 1 ? std::string("one CUDA graph") : message(graphs, " CUDA graphs"), " of ",
              inside, " launches", outside ? message(", ", outside, " by themselves") : "");
  if (captures_ == 0) return message("to be replayed as ", what);
  return message("replayed as ", what, ": captured ", captures_, " times, replayed ", replays_,
                 " times");
}

}  // namespace dlx
