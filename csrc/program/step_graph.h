// The launches of a program on a GPU, given to its driver once, as a graph that one call does
// again. Their addresses are those of the capture. The arena stays where it is, and so do, as a
// rule, parameters, their state and their gradients. What comes from elsewhere at every replay
// (arguments) or goes elsewhere (results) has a block in memory of the graph's own, and is copied
// there before the launch or from there after it. Launches that a graph cannot have, on the host
// or to and from it, run by themselves between the graphs before and after them.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "program/record.h"

namespace dlx {

// Of a memory of the program: what a graph has to know of its address.
struct GraphedMemory {
  bool may_move = false;  // from one replay to the next: that of a slot or a result
  bool varies = false;    // an argument or a result, which moves at most replays
  bool is_read = false;   // holds values before the step
  bool written = false;   // and has to hold those of the step afterwards
};

class StepGraph {
 public:
  // record: of the program, and lives longer.
  StepGraph(const Record& record, std::vector<GraphedMemory> memories);

  // One replay at these addresses; launched: how many launches have come to their end, for an error
  // in the middle. False: the launches are to be run one by one, this time (at
  // first, so that the driver has loaded all kernels) or, for a reason, always.
  bool run(Ctx&, const std::vector<char*>& data, size_t& launched);

  std::string text() const;  // how it is replayed, and why
  // May be asked for while another thread replays.
  int64_t captures() const { return captures_; }
  int64_t replays() const { return replays_; }  // as graphs
  int64_t bytes() const { return bytes_; }      // of its own

 private:
  struct Destroy {
    void operator()(void* graph) const { cuda_backend()->graphs.destroy(graph); }
  };
  struct Piece {  // launches one after another
    size_t first, last;
    bool is_graph;
    std::vector<size_t> can_fail;  // of a graph
    int64_t reports = 0;           // of those, in the pool
    std::unique_ptr<void, Destroy> graph = nullptr;
  };
  struct Watched {  // a memory that may move
    size_t memory;
    int64_t low = 0, high = 0;  // the bytes that launches touch, counted from its address
    int moves = 0;
    bool own = false;  // launches use a block of the pool
    int64_t place = 0;
    char* bound = nullptr;  // its address, where it has no such block
  };

  bool fits_a_graph(const RecordedCall&) const;
  void find_pieces();
  void find_watched();
  bool note_moves(const std::vector<char*>& data);  // whether the graphs do not fit any more
  void make_pool();
  void capture(Ctx&);
  void issue(Ctx&, const Piece&) const;
  void run_piece(Ctx&, const Piece&, size_t& launched);
  void* const* buffers_of(const RecordedCall&) const;
  void give_up(std::string reason);

  const Record& record_;
  std::vector<GraphedMemory> memories_;
  Device device_;
  std::vector<Piece> pieces_;
  std::vector<Watched> watched_;
  std::vector<char*> data_;             // of each memory: what launches use
  mutable std::vector<void*> buffers_;  // of a launch
  Array pool_;  // blocks of what moves, then places for reports, then the largest workspace
  int64_t workspace_ = 0;
  bool seen_ = false;  // a replay
  std::atomic<int64_t> captures_{0}, replays_{0}, bytes_{0};
  std::string reason_;  // why every launch is by itself
};

}  // namespace dlx
