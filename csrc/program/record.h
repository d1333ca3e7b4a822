// What one call of a Python function did at the door: the launches of its thread, in order, and
// the memory that they used. Two records of the same step are equal; program.h replays them.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/launch.h"

namespace dlx {

// A block of memory, as the launches of one record know it: numbered in the order of first use.
struct RecordedMemory {
  uint64_t storage;  // its id while recorded
  int64_t bytes;     // 0 where older
  Device device;
  bool older;                  // than the recording: an input or state, bound anew by each replay
  bool from_host = false;      // Python put numbers here (dlx.tensor(...)): they are `contents`
  bool written = false;        // by a launch
  std::vector<char> contents;  // before the first launch that uses it
  int32_t line = -1;           // of its first use
};

// Part of a memory, as an Array sees it.
struct RecordedArray {
  int32_t memory = -1;  // -1: none
  int64_t offset = 0;   // in bytes
  Dims shape, strides;
  DType dtype = DType::float32;

  bool operator==(const RecordedArray&) const = default;
};

struct RecordedCall {
  const Op* op;
  std::vector<char> shape;
  Device device;
  size_t inputs;                      // the first ones of
  std::vector<RecordedArray> arrays;  // inputs, then outputs
  uint64_t may_alias = 0;             // of op.may_alias: inputs that lie as output 0 does
  int32_t line = -1;                  // of Record::lines: of the Python code that asked for it
  int32_t layer = -1;                 // of Record::layers: the Module that it is in
  bool (*same)(const void*, const void*) = nullptr;  // as Launch has it
  int32_t number = -1;                               // in the order of the recorded step
  std::vector<RecordedCall> parts = {};  // of one that stands for several: those, in order

  std::string label() const { return op->label ? op->label(shape.data()) : op->name; }
  bool updates(size_t output) const { return op->updates >> output & 1; }
};

struct Record {
  std::vector<RecordedMemory> memories;
  std::vector<RecordedCall> calls;
  std::vector<std::string> lines;
  std::vector<std::string> layers;              // empty until somebody asks for the names
  std::unordered_map<uint64_t, int32_t> index;  // storage id -> memory

  int32_t memory_of(const Array&) const;  // -1: no launch has used it
  RecordedArray array_of(const Array&) const;
  const std::string& line(int32_t i) const;
  Origin origin_of(const RecordedCall& c) const {
    const auto layer = static_cast<size_t>(c.layer);  // that of -1 is beyond the last
    return {line(c.line), layer < layers.size() ? layers[layer] : std::string_view()};
  }
  const char* maker_of(size_t memory) const;  // the op that wrote it first
  // Empty where both did the same; else the first difference, with its source line.
  std::string difference(const Record&) const;
};

// Stands at the door of the thread that made it, from its construction to stop().
class Recorder final : public Observer {
 public:
  using Line = std::string (*)();                                 // of the Python code that runs
  using Layer = std::function<int32_t(const std::string& line)>;  // its number; -1: none
  Recorder(Ctx&, Line, Layer);
  ~Recorder() override { stop(); }
  void stop();

  void before(const Launch&) override;
  void host_read(const Array&) override;

  // Why it cannot be replayed; empty while nothing speaks against it.
  const std::string& refusal() const { return refusal_; }
  void refuse(std::string why);
  Record& record() { return record_; }
  const Record& record() const { return record_; }
  Record take() { return std::move(record_); }
  // After stop(): where a value is that the call leaves behind.
  RecordedArray hold(const Array& a) { return line_ = -1, use(a); }

  // Whether a memory made during the recording is still in use.
  bool alive(uint64_t storage) const { return !watch_->died(storage); }
  void end_watch() { watch_.reset(); }

 private:
  RecordedArray use(const Array&);

  std::unique_ptr<StorageWatch> watch_ = std::make_unique<StorageWatch>();
  Ctx* ctx_;
  Line line_of_;
  Layer layer_of_;
  uint64_t first_id_;  // of the storages made during the recording
  Record record_;
  std::unordered_map<std::string, int32_t> lines_;
  int32_t line_ = -1;  // of the call at hand
  std::string refusal_;
};

}  // namespace dlx
