// Devices, streams, events and graphs of the CUDA runtime.
#include "tensor/cuda_runtime.h"

#include <memory>
#include <type_traits>
#include <utility>

#include "kernels/cuda/libraries.h"
#include "tensor/cuda/check.h"

namespace aikd::cuda {
namespace {

std::string version_text(int version) {  // 13000 -> "13.0"
  return concat(version / 1000, '.', version % 1000 / 10);
}

std::string why_none(cudaError_t status) {
  if (status == cudaSuccess || status == cudaErrorNoDevice) return "the driver shows no device";
  if (status == cudaErrorInsufficientDriver) {  // also the status when there is no driver
    int driver = 0, runtime = 0;
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    if (driver == 0) return "no NVIDIA driver is installed";
    return concat("the driver is for CUDA ", version_text(driver), ", this program needs one for CUDA ",
                  version_text(runtime));
  }
  return cudaGetErrorString(status);
}

}  // namespace

std::vector<DeviceProperties> devices(std::string* why_empty) {
  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  std::vector<DeviceProperties> found;
  for (int i = 0; status == cudaSuccess && i < count; ++i) {
    cudaDeviceProp p;
    status = cudaGetDeviceProperties(&p, i);
    if (status != cudaSuccess) break;
    found.push_back({.index = i,
                     .name = p.name,
                     .major = p.major,
                     .minor = p.minor,
                     .memory_gib = static_cast<double>(p.totalGlobalMem) / (1024.0 * 1024 * 1024),
                     .multiprocessors = p.multiProcessorCount,
                     .l2_bytes = static_cast<std::size_t>(p.l2CacheSize)});
  }
  if (status != cudaSuccess) (void)cudaGetLastError();
  if (found.empty() && why_empty != nullptr) *why_empty = why_none(status);
  return found;
}

std::string runtime_description() {
  int driver = 0, runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  return concat("CUDA runtime ", version_text(runtime), ", driver ",
                driver == 0 ? std::string("none") : version_text(driver));
}

void make_current(int device) {
  int current = -1;
  if (cudaGetDevice(&current) == cudaSuccess && current == device) return;
  check(cudaSetDevice(device), "making cuda:", device, " the current device");
}

void wait_for_device(int device) {
  const CurrentDevice current(device);
  check(cudaDeviceSynchronize(), "waiting for cuda:", device);
}

std::unique_ptr<kernels::cuda::Libraries> make_libraries() {
  return kernels::cuda::load_libraries();
}

Stream::Stream(int device) : device_(device) {
  // Not make_current(): setting the device also brings it up, with a sentence of its own where that fails.
  check(cudaSetDevice(device), "bringing up cuda:", device);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream on cuda:", device);
  handle_ = stream;
}
Stream::~Stream() {
  if (handle_ == nullptr) return;
  // The status of the work is for synchronize(); here the stream goes whatever it is.
  (void)cudaStreamSynchronize(static_cast<cudaStream_t>(handle_));
  forget_stream(device_, handle_);
  (void)cudaStreamDestroy(static_cast<cudaStream_t>(handle_));
  (void)cudaGetLastError();
}
Stream::Stream(Stream&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), device_(other.device_) {}
Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(device_, other.device_);
  return *this;
}
void Stream::synchronize() const {
  check(cudaStreamSynchronize(native(*this)), "waiting for work on cuda:", device_);
}

namespace {

cudaEvent_t recorded(void* event) {
  require(event != nullptr, ErrorKind::kInternal, "An event was waited for that was never recorded.");
  return static_cast<cudaEvent_t>(event);
}

}  // namespace

Event::~Event() {
  if (handle_ != nullptr) (void)cudaEventDestroy(static_cast<cudaEvent_t>(handle_));
}
Event::Event(Event&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), device_(other.device_) {}
Event& Event::operator=(Event&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(device_, other.device_);
  return *this;
}
void Event::record(const Stream& stream) {
  cudaStream_t target = native(stream);
  if (handle_ != nullptr && device_ != stream.device()) *this = Event();
  if (handle_ == nullptr) {
    const CurrentDevice current(stream.device());
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event), "making an event on cuda:", stream.device());
    handle_ = event;
    device_ = stream.device();
  }
  check(cudaEventRecord(static_cast<cudaEvent_t>(handle_), target), "recording an event on cuda:", device_);
}
void Event::synchronize() const {
  check(cudaEventSynchronize(recorded(handle_)), "waiting for an event on cuda:", device_);
}
void Event::make_wait(const Stream& stream) const {
  check(cudaStreamWaitEvent(native(stream), recorded(handle_), 0),
        "making a stream wait for an event on cuda:", device_);
}
double Event::milliseconds_since(const Event& start) const {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, recorded(start.handle_), recorded(handle_)),
        "measuring the time between two events on cuda:", device_);
  return static_cast<double>(milliseconds);
}

Graph Graph::capture(const Stream& stream, const std::function<void()>& work) {
  struct Destroy {
    void operator()(cudaGraph_t graph) const { (void)cudaGraphDestroy(graph); }
  };
  using Recorded = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, Destroy>;
  cudaStream_t target = native(stream);
  const CurrentDevice current(stream.device());
  const auto end_capture = [target](Recorded& result) {
    cudaGraph_t graph = nullptr;
    const cudaError_t status = cudaStreamEndCapture(target, &graph);
    result.reset(graph);
    return status;
  };
  // Thread-local: other threads may go on allocating and copying.
  check(cudaStreamBeginCapture(target, cudaStreamCaptureModeThreadLocal), "beginning to record a graph");
  Recorded recording;
  try {
    work();
  } catch (...) {
    if (end_capture(recording) != cudaSuccess) (void)cudaGetLastError();
    throw;
  }
  check(end_capture(recording), "recording a graph");
  Graph graph;
  check(cudaGraphGetNodes(recording.get(), nullptr, &graph.nodes_), "counting the nodes of a graph");
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, recording.get(), 0), "making a graph of ", graph.nodes_,
        " nodes ready");
  graph.handle_ = executable;
  return graph;
}
Graph::~Graph() {
  if (handle_ != nullptr) (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(handle_));
}
Graph::Graph(Graph&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), nodes_(std::exchange(other.nodes_, 0)) {}
Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(nodes_, other.nodes_);
  return *this;
}
void Graph::launch(const Stream& stream) const {
  require(handle_ != nullptr, ErrorKind::kInternal, "A graph was launched that was never recorded.");
  const CurrentDevice current(stream.device());
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(handle_), native(stream)), "launching a graph of ",
        nodes_, " nodes");
}

}  // namespace aikd::cuda
