// Streams and events of GPUs, as dlx.cuda shows them.
#include "bindings/tensor_base.h"
#include "core/device.h"

namespace dlx {
namespace {

namespace py = pybind11;

const DeviceStreams& streams() {
  DLX_CHECK_AS(std::runtime_error, cuda_backend(), reason_for_no_gpu());
  return cuda_backend()->streams;
}

// Some stream; where `owns`, nobody else has it meanwhile.
class PythonStream {
 public:
  PythonStream(DeviceStream* stream, bool owns) : stream_(stream), owns_(owns) {}
  ~PythonStream() {
    if (owns_) streams().put_back(stream_);
  }
  PythonStream(const PythonStream&) = delete;
  DeviceStream* get() const { return stream_; }

 private:
  DeviceStream* stream_;
  bool owns_;
};

// Of the device of the stream that records it first.
class PythonEvent {
 public:
  explicit PythonEvent(bool timed) : timed_(timed) {}
  ~PythonEvent() {
    if (event_) streams().delete_event(event_);
  }
  PythonEvent(const PythonEvent&) = delete;

  void record(const PythonStream& s) {
    if (!event_) {
      event_ = streams().new_event(s.get(), timed_);
      device_ = streams().device(s.get());
    }
    DLX_CHECK(device_ == streams().device(s.get()), "Event.record: the event is of ", device_,
              ", the stream of ", streams().device(s.get()));
    streams().record(event_, s.get());
  }
  void let_wait(const PythonStream& s) const {
    if (event_) streams().wait(s.get(), event_);
  }
  bool is_done() const { return !event_ || streams().is_done(event_); }
  void synchronize() const {
    const GilRelease release(true);
    if (event_) streams().synchronize_event(event_);
  }
  double milliseconds_to(const PythonEvent& end) const {
    DLX_CHECK_AS(std::runtime_error, timed_ && end.timed_,
                 "Event.elapsed_time: both events need enable_timing=True");
    DLX_CHECK_AS(std::runtime_error, event_ && end.event_,
                 "Event.elapsed_time: both events must have been recorded");
    DLX_CHECK_AS(std::runtime_error, is_done() && end.is_done(),
                 "Event.elapsed_time: the work is not done; synchronize() first");
    return streams().milliseconds(event_, end.event_);
  }

 private:
  DeviceEvent event_ = nullptr;
  bool timed_;
  Device device_;
};

Device gpu(int index) { return {DeviceKind::cuda, static_cast<int8_t>(index)}; }

}  // namespace

void bind_stream(py::module_& m) {
  py::class_<PythonStream>(m, "Stream", "A queue of work of a GPU.")
      .def_property_readonly("device",
                             [](const PythonStream& s) { return streams().device(s.get()).index; })
      .def_property_readonly("handle",
                             [](const PythonStream& s) { return streams().native(s.get()); })
      .def("synchronize", [](const PythonStream& s) {
        const GilRelease release(true);
        streams().synchronize(s.get());
        cuda_backend()->tell_errors(streams().device(s.get()), s.get(), "at a synchronisation");
      });
  py::class_<PythonEvent>(m, "Event", "A point in a stream's work.")
      .def(py::init<bool>())
      .def("record", &PythonEvent::record)
      .def("let_wait", &PythonEvent::let_wait)
      .def("is_done", &PythonEvent::is_done)
      .def("synchronize", &PythonEvent::synchronize)
      .def("milliseconds_to", &PythonEvent::milliseconds_to);
  m.def("new_stream", [](int device) {
    return std::make_unique<PythonStream>(streams().take(gpu(device)), true);
  });
  m.def("current_stream", [](int device) {
    return std::make_unique<PythonStream>(streams().current(gpu(device)), false);
  });
  m.def("make_current_stream", [](const PythonStream& s) { streams().make_current(s.get()); });
  // The array is the work of `to` from now on, which has waited for it.
  m.def("hand_over", [](const Array& x, const PythonStream& to) {
    streams().hand_over(*x.storage.get(), to.get());
  });
}

}  // namespace dlx
