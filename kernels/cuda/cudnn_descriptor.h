// Descriptors of cuDNN's graph interface: owned, filled by type, with the first failure kept. Included by
// cudnn_*.cpp only.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cuda/cudnn_api.h"

namespace aikd::kernels::cuda {

// One descriptor, destroyed with the object.
class CudnnDescriptor {
 public:
  CudnnDescriptor() = default;
  CudnnDescriptor(const CudnnApi& api, cudnnBackendDescriptor_t handle) noexcept
      : api_(&api), handle_(handle) {}
  ~CudnnDescriptor() {
    if (handle_ != nullptr) api_->destroy_descriptor(handle_);
  }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept
      : api_(other.api_), handle_(std::exchange(other.handle_, nullptr)) {}
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept {
    std::swap(api_, other.api_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  CudnnDescriptor(const CudnnDescriptor&) = delete;
  CudnnDescriptor& operator=(const CudnnDescriptor&) = delete;

  cudnnBackendDescriptor_t get() const noexcept { return handle_; }
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  const CudnnApi* api_ = nullptr;
  cudnnBackendDescriptor_t handle_ = nullptr;
};

// The attribute type that goes with a C++ type. A cudnnBackendDescriptor_t is a void*; plain addresses are
// set by set_addresses().
template <class T>
constexpr cudnnBackendAttributeType_t attribute_type() {
  if constexpr (std::is_same_v<T, std::int64_t>) return CUDNN_TYPE_INT64;
  if constexpr (std::is_same_v<T, bool>) return CUDNN_TYPE_BOOLEAN;
  if constexpr (std::is_same_v<T, float>) return CUDNN_TYPE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return CUDNN_TYPE_DOUBLE;
  if constexpr (std::is_same_v<T, char>) return CUDNN_TYPE_CHAR;
  if constexpr (std::is_same_v<T, cudnnHandle_t>) return CUDNN_TYPE_HANDLE;
  if constexpr (std::is_same_v<T, cudnnDataType_t>) return CUDNN_TYPE_DATA_TYPE;
  if constexpr (std::is_same_v<T, cudnnConvolutionMode_t>) return CUDNN_TYPE_CONVOLUTION_MODE;
  if constexpr (std::is_same_v<T, cudnnPointwiseMode_t>) return CUDNN_TYPE_POINTWISE_MODE;
  if constexpr (std::is_same_v<T, cudnnNanPropagation_t>) return CUDNN_TYPE_NAN_PROPOGATION;
  if constexpr (std::is_same_v<T, cudnnBackendHeurMode_t>) return CUDNN_TYPE_HEUR_MODE;
  if constexpr (std::is_same_v<T, cudnnBackendNumericalNote_t>) return CUDNN_TYPE_NUMERICAL_NOTE;
  if constexpr (std::is_same_v<T, cudnnBackendDescriptor_t>) return CUDNN_TYPE_BACKEND_DESCRIPTOR;
}

// Calls of the graph interface in a row. After the first failure the rest do nothing: a graph is built in one
// straight run, and asked once, at its end, whether it worked.
class CudnnCalls {
 public:
  explicit CudnnCalls(const CudnnApi& api) : api_(api) {}

  bool ok() const noexcept { return why_.empty(); }
  const std::string& why() const noexcept { return why_; }

  CudnnDescriptor create(cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t handle = nullptr;
    if (ok()) check(api_.create_descriptor(type, &handle), "creating a descriptor");
    return CudnnDescriptor(api_, ok() ? handle : nullptr);
  }

  template <class T>
  void set(const CudnnDescriptor& descriptor, cudnnBackendAttributeName_t name, const T* values,
           std::int64_t count) {
    set_raw(descriptor, name, attribute_type<T>(), count, values);
  }
  template <class T>
  void set(const CudnnDescriptor& descriptor, cudnnBackendAttributeName_t name, const T& value) {
    set_raw(descriptor, name, attribute_type<T>(), 1, &value);
  }
  template <class T>
  void set(const CudnnDescriptor& descriptor, cudnnBackendAttributeName_t name,
           const std::vector<T>& values) {
    set_raw(descriptor, name, attribute_type<T>(), static_cast<std::int64_t>(values.size()), values.data());
  }
  void set(const CudnnDescriptor& descriptor, cudnnBackendAttributeName_t name,
           const CudnnDescriptor& value) {
    set(descriptor, name, value.get());
  }
  void set_addresses(const CudnnDescriptor& descriptor, cudnnBackendAttributeName_t name,
                     void* const* addresses, std::int64_t count) {
    set_raw(descriptor, name, CUDNN_TYPE_VOID_PTR, count, addresses);
  }

  // Checks and closes a descriptor. `what` names it in the sentence of a failure.
  void finalize(const CudnnDescriptor& descriptor, const char* what) {
    if (ok()) check(api_.finalize(descriptor.get()), what);
  }

  // Up to `capacity` values of an attribute; returns how many there are.
  template <class T>
  std::int64_t get(const CudnnDescriptor& descriptor, cudnnBackendAttributeName_t name, T* values,
                   std::int64_t capacity) {
    std::int64_t count = 0;
    if (ok())
      check(api_.get_attribute(descriptor.get(), name, attribute_type<T>(), capacity, &count, values),
            "reading an attribute");
    return ok() ? count : 0;
  }

 private:
  void set_raw(const CudnnDescriptor& descriptor, cudnnBackendAttributeName_t name,
               cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
    if (ok()) check(api_.set_attribute(descriptor.get(), name, type, count, values), "setting an attribute");
  }
  void check(cudnnStatus_t status, const char* what) {
    if (status != CUDNN_STATUS_SUCCESS && ok()) why_ = std::string(what) + ": " + api_.explain(status);
  }

  const CudnnApi& api_;
  std::string why_;
};

}  // namespace aikd::kernels::cuda
