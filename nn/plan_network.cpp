#include "nn/plan_network.h"

#include "tensor/config.h"

namespace aikd::nn {

PlanNetwork record_network(const Module& backbone, const Module* head, const InputTable& input) {
  PlanNetwork network;
  GraphOps& graph = network.graph;
  const Value x = graph.input({1, input.height, input.width, 3});
  const Value embedding = backbone.forward(graph, x);
  const Shape& shape = graph.node(embedding).shape;
  require(shape.rank() == 2, ErrorKind::kModel,
          "The backbone must end in an embedding [N, features], but it ends in the shape ", shape, ".");
  network.input = x.node;
  network.embedding_size = shape[1];
  network.outputs = {embedding.node};
  if (head != nullptr) {
    const Value score = head->forward(graph, embedding);
    const Shape& score_shape = graph.node(score).shape;
    require(score_shape == Shape{1, 1}, ErrorKind::kModel,
            "The head must end in one number per image, [N, 1], but it ends in the shape ", score_shape, ".");
    network.outputs.push_back(score.node);
  }
  return network;
}

void check_plan_options(const InputTable& input, const PlanOptions& options) {
  require(options.max_batch >= 1, ErrorKind::kUsage, "The plan's largest batch must be at least 1, got ",
          options.max_batch, ".");
  require(input.height >= 1 && input.width >= 1, ErrorKind::kUsage, "The plan's input of ", input.width, "x",
          input.height, " pixels is empty.");
  for (const int source : input.source)
    require(source >= 0 && source <= 2, ErrorKind::kUsage, "The input table takes image channel ", source,
            ", but an image has the channels 0, 1 and 2.");
}

void check_plan_device(const Context& context, const PlanOptions& options) {
  if (context.on_cuda()) {
    require(kHasCuda, ErrorKind::kInternal, "A build without CUDA was given a context on ",
            context.device().to_string(), ".");
    return;
  }
  require(options.precision == Precision::kFp32, ErrorKind::kUsage, "The precision ",
          name_of(options.precision),
          " was asked for, but on the CPU everything is computed in fp32; use --precision fp32 or a CUDA "
          "device.");
}

void check_plan_images(const InputTable& input, std::size_t bytes, std::int64_t n) {
  require(n >= 0, ErrorKind::kUsage, "Plan::run: the number of images must not be negative, got ", n, ".");
  const std::int64_t expected = n * 3 * input.height * input.width;
  require(bytes == static_cast<std::size_t>(expected), ErrorKind::kUsage, "Plan::run: ", n, " images of ",
          input.width, "x", input.height, " pixels are ", expected, " bytes, got ", bytes, ".");
}

void check_plan_call(const PlanNetwork& network, const InputTable& input, const PlanCall& call) {
  const std::int64_t n = call.n;
  check_plan_images(input, call.image_bytes, n);
  require(call.embeddings == 0 || call.embeddings == static_cast<std::size_t>(n * network.embedding_size),
          ErrorKind::kUsage, "Plan::run: ", n, " embeddings of ", network.embedding_size,
          " numbers need room for ", n * network.embedding_size, ", got ", call.embeddings, ".");
  require(call.head_output == 0 || network.has_head(), ErrorKind::kUsage,
          "Plan::run: the head's output was asked for, but the plan was compiled without a head.");
  require(call.head_output == 0 || call.head_output == static_cast<std::size_t>(n), ErrorKind::kUsage,
          "Plan::run: ", n, " head outputs need room for ", n, ", got ", call.head_output, ".");
}

}  // namespace aikd::nn
