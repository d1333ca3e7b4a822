#include "program/record.h"

#include <algorithm>

#include "core/check.h"

namespace dlx {
namespace {

// What Python makes into arrays is part of the program; more than this belongs into an argument.
constexpr int64_t kMostFromHost = 1 << 16;

bool same(const RecordedMemory& a, const RecordedMemory& b) {
  return a.bytes == b.bytes && a.device == b.device && a.older == b.older &&
         a.from_host == b.from_host && a.contents == b.contents;
}

bool same(const RecordedCall& a, const RecordedCall& b) {
  return a.op == b.op && a.device == b.device && a.arrays == b.arrays &&
         (a.shape == b.shape || (a.same && a.same(a.shape.data(), b.shape.data())));
}

std::string inputs_of(const RecordedCall& call) {
  std::string text = call.op->name;
  for (size_t i = 0; i < call.arrays.size(); ++i)
    text += message(i == 0 ? "(" : i == call.inputs ? ") -> " : ", ", call.arrays[i].shape);
  return text;
}

}  // namespace

int32_t Record::memory_of(const Array& a) const {
  const auto found = a.storage ? index.find(a.storage->id) : index.end();
  return found == index.end() ? -1 : found->second;
}

RecordedArray Record::array_of(const Array& a) const {
  return {memory_of(a), a.offset * size_of(a.dtype), a.shape, a.strides, a.dtype};
}

const std::string& Record::line(int32_t i) const {
  static const std::string unknown = "its end";
  return i < 0 ? unknown : lines[static_cast<size_t>(i)];
}

const char* Record::maker_of(size_t memory) const {
  for (const RecordedCall& call : calls)
    for (size_t k = call.inputs; k < call.arrays.size(); ++k)
      if (call.arrays[k].memory == static_cast<int32_t>(memory)) return call.op->name;
  return "Python";
}

std::string Record::difference(const Record& other) const {
  for (size_t i = 0; i < std::min(calls.size(), other.calls.size()); ++i) {
    const RecordedCall &a = calls[i], &b = other.calls[i];
    if (same(a, b)) continue;
    const bool alike = inputs_of(a) == inputs_of(b);
    return message(inputs_of(a), " at ", line(a.line), ", then ",
                   alike ? "the same with other numbers or memory" : inputs_of(b), " at ",
                   other.line(b.line));
  }
  if (calls.size() != other.calls.size()) {
    const Record& longer = calls.size() > other.calls.size() ? *this : other;
    const RecordedCall& next = longer.calls[std::min(calls.size(), other.calls.size())];
    return message(calls.size(), " ops, then ", other.calls.size(), "; one more is ",
                   inputs_of(next), " at ", longer.line(next.line));
  }
  for (size_t m = 0; m < memories.size(); ++m)
    if (!same(memories[m], other.memories[m]))
      return message(memories[m].from_host
                         ? "numbers that Python made into a Tensor, first used at "
                         : "memory, first used at ",
                     line(memories[m].line));
  return "";
}

Recorder::Recorder(Ctx& ctx, Line line_of, Layer layer_of)
    : ctx_(&ctx), line_of_(line_of), layer_of_(std::move(layer_of)) {
  first_id_ = empty({}, DType::uint8, {}).storage->id;
  add_observer(ctx, this);
}

void Recorder::stop() {
  if (!ctx_) return;
  remove_observer(*std::exchange(ctx_, nullptr), this);
}

void Recorder::refuse(std::string why) {
  if (refusal_.empty()) refusal_ = std::move(why);
}

RecordedArray Recorder::use(const Array& a) {
  Storage* s = a.storage.get();
  const auto [at, is_new] =
      record_.index.try_emplace(s->id, static_cast<int32_t>(record_.memories.size()));
  if (is_new) {
    const bool older = s->id < first_id_;
    RecordedMemory m{
        s->id, older ? 0 : s->bytes, s->device, older, !older && s->from_host, false, {}, line_};
    if (m.from_host) {
      if (s->bytes > kMostFromHost || s->device != Device{}) {
        refuse(message("Python makes ", s->bytes, " bytes into a Tensor, used at ",
                       record_.line(line_), ": give it as an argument"));
      } else {
        const auto* data = static_cast<const char*>(s->data);
        m.contents.assign(data, data + s->bytes);
      }
    }
    record_.memories.push_back(std::move(m));
  }
  return record_.array_of(a);
}

void Recorder::before(const Launch& launch) {
  if (!refusal_.empty()) return;
  const std::string line = line_of_();
  const auto [at, is_new] = lines_.try_emplace(line, static_cast<int32_t>(lines_.size()));
  if (is_new) record_.lines.push_back(line);
  line_ = at->second;

  const auto* shape = static_cast<const char*>(launch.shape);
  const Outputs y = launch.outputs;
  RecordedCall call{&launch.op,
                    {shape, shape + launch.shape_bytes},
                    y[0]->device(),
                    launch.inputs.size(),
                    {},
                    0,
                    line_,
                    layer_of_(line),
                    launch.same};
  call.number = static_cast<int32_t>(record_.calls.size());
  call.arrays.reserve(launch.inputs.size() + y.size());
  for (size_t i = 0; i < launch.inputs.size(); ++i) {
    // A number among pointwise operands has no memory: the output stands in for it, unread.
    const Array* a = launch.inputs[i];
    call.arrays.push_back(use(*a));
    if (i < 64 && a->is_dense() && a->shape == y[0]->shape && a->dtype == y[0]->dtype)
      call.may_alias |= launch.op.may_alias & uint64_t{1} << i;
  }
  for (size_t i = 0; i < y.size(); ++i) {
    call.arrays.push_back(use(*y[i]));
    record_.memories[static_cast<size_t>(call.arrays.back().memory)].written = true;
  }
  record_.calls.push_back(std::move(call));
}

void Recorder::host_read(const Array& a) {
  if (!refusal_.empty()) return;
  const std::string after =
      record_.calls.empty() ? "" : message(", after ", record_.calls.back().op->name);
  refuse(message("Python reads a value (", a.dtype, " of shape ", a.shape, after, ") at ",
                 line_of_(), ": return the Tensor and read it outside"));
}

}  // namespace dlx
