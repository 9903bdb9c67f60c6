#include "nn/plan_fuse.h"

#include <algorithm>
#include <cstddef>

#include "kernels/blocked_conv.h"
#include "nn/batch_norm_factors.h"
#include "nn/op_dims.h"

namespace aikd::nn {
namespace {

bool has_filters(OpKind kind) {
  return kind == OpKind::kConv2d || kind == OpKind::kDepthwise || kind == OpKind::kLinear;
}

const GraphNode& at(const GraphOps& graph, int node) {
  return graph.nodes()[static_cast<std::size_t>(node)];
}

class Fuser {
 public:
  Fuser(const GraphOps& graph, const std::vector<int>& outputs) : graph_(graph), outputs_(outputs) {
    const std::size_t count = graph.nodes().size();
    users_.resize(count);
    bases_.resize(count);
    absorbed_.assign(count, false);
    for (std::size_t i = 0; i < count; ++i) {
      for (const int input : graph.nodes()[i].inputs) {
        if (input >= 0) users_[static_cast<std::size_t>(input)].push_back(static_cast<int>(i));
      }
    }
    for (std::size_t i = 0; i < count; ++i) bases_[i] = base(static_cast<int>(i));
    count_live_users();
  }

  std::vector<FusedOp> run() {
    std::vector<FusedOp> ops;
    for (std::size_t i = 0; i < bases_.size(); ++i) {
      if (!live_[i] || absorbed_[i] || bases_[i].op->kind == OpKind::kInput) continue;
      ops.push_back(bases_[i]);
      if (ops.back().kind != OpKind::kGelu && ops.back().kind != OpKind::kFlatten) extend(ops.back());
    }
    // A residual may be computed after the op it is added to was recorded: each step runs at the place of the
    // last node it covers.
    std::stable_sort(ops.begin(), ops.end(),
                     [](const FusedOp& a, const FusedOp& b) { return a.output < b.output; });
    return ops;
  }

 private:
  bool is_output(int node) const {
    return std::find(outputs_.begin(), outputs_.end(), node) != outputs_.end();
  }
  const std::vector<int>& users(int node) const { return users_[static_cast<std::size_t>(node)]; }

  // A BatchNorm right after filters that nobody else reads goes into those filters' rows, the cheaper fold.
  bool folds_backwards(int bn) const {
    const int producer = at(graph_, bn).inputs[0];
    return has_filters(at(graph_, producer).kind) && users(producer).size() == 1 && !is_output(producer);
  }

  // Whether the BatchNorm `bn`, which `op` reads now, can go into op's columns.
  bool folds_forwards(int bn, const FusedOp& op) const {
    if (folds_backwards(bn)) return false;
    if (op.kind == OpKind::kLinear) return true;
    if (op.op->conv.pad == 0) return true;
    return op.kind == OpKind::kConv2d && kernels::border_classes_suffice(conv2d_dims(
                                             at(graph_, op.input).shape, op.op->weight.shape(), op.op->conv));
  }

  // The op of one node alone, with its input moved up through what folds into its columns.
  FusedOp base(int node) const {
    const GraphNode& n = at(graph_, node);
    FusedOp op;
    op.kind = n.kind;
    op.op = &n;
    op.input = n.inputs[0];
    op.output = node;
    switch (n.kind) {
      case OpKind::kConv2d:
      case OpKind::kDepthwise:
      case OpKind::kLinear:
        absorb_input(op);
        break;
      case OpKind::kBatchNorm: {
        BatchNormFactors factors = batch_norm_factors(n.bn);
        op.after = {std::move(factors.scale), std::move(factors.shift)};
        break;
      }
      case OpKind::kPrelu:
      case OpKind::kClamp:
        op.kind = OpKind::kBatchNorm;
        activate(op, n);
        break;
      case OpKind::kAdd:
        op.kind = OpKind::kBatchNorm;
        op.residual = n.inputs[1];
        break;
      case OpKind::kInput:
      case OpKind::kGelu:
      case OpKind::kFlatten:
        break;
    }
    return op;
  }

  void absorb_input(FusedOp& op) const {
    for (;;) {
      const GraphNode& input = at(graph_, op.input);
      if (input.kind == OpKind::kBatchNorm && folds_forwards(op.input, op)) {
        BatchNormFactors f = batch_norm_factors(input.bn);
        if (op.flattens) repeat(f, input.shape);
        // Walking up: this BatchNorm comes before those already absorbed.
        Affine first{std::move(f.scale), std::move(f.shift)};
        if (!op.before.identity()) first.then(op.before.scale, op.before.shift);
        op.before = std::move(first);
      } else if (input.kind == OpKind::kFlatten && op.kind == OpKind::kLinear) {
        op.flattens = true;
      } else {
        return;
      }
      op.input = input.inputs[0];
    }
  }

  // Factors per channel -> per element of the flattened image [1,H,W,C].
  static void repeat(BatchNormFactors& f, const Shape& image) {
    const std::size_t channels = f.scale.size();
    const auto pixels = static_cast<std::size_t>(image[1] * image[2]);
    f.scale.resize(pixels * channels);
    f.shift.resize(pixels * channels);
    for (std::size_t i = channels; i < f.scale.size(); ++i) {
      f.scale[i] = f.scale[i - channels];
      f.shift[i] = f.shift[i - channels];
    }
  }

  static void activate(FusedOp& op, const GraphNode& n) {
    op.residual_first = op.residual >= 0;
    if (n.kind == OpKind::kPrelu) {
      op.slope = &n.weight;
    } else {
      op.clamps = true;
      op.lo = n.lo;
      op.hi = n.hi;
    }
  }

  // Which nodes the outputs still need, and their users, now that inputs were moved.
  void count_live_users() {
    live_.assign(bases_.size(), false);
    for (const int output : outputs_) live_[static_cast<std::size_t>(output)] = true;
    for (auto& list : users_) list.clear();
    for (std::size_t i = bases_.size(); i-- > 0;) {
      if (!live_[i]) continue;
      for (const int input : {bases_[i].input, bases_[i].residual}) {
        if (input < 0) continue;
        live_[static_cast<std::size_t>(input)] = true;
        users_[static_cast<std::size_t>(input)].push_back(static_cast<int>(i));
      }
    }
  }

  // Takes in the nodes after `op`, as long as each is the only reader of what came before.
  void extend(FusedOp& op) {
    for (;;) {
      if (is_output(op.output) || users(op.output).size() != 1) return;
      const int next = users(op.output)[0];
      if (absorbed_[static_cast<std::size_t>(next)]) return;  // a sum that its other operand's step took
      const GraphNode& n = at(graph_, next);
      if (n.kind == OpKind::kBatchNorm && has_filters(op.kind) && !op.activates() && op.residual < 0) {
        const BatchNormFactors f = batch_norm_factors(n.bn);
        op.after.then(f.scale, f.shift);
      } else if ((n.kind == OpKind::kPrelu || n.kind == OpKind::kClamp) && !op.activates()) {
        activate(op, n);
      } else if (n.kind == OpKind::kAdd && op.residual < 0) {
        op.residual = n.inputs[0] == op.output ? n.inputs[1] : n.inputs[0];
      } else {
        return;
      }
      absorbed_[static_cast<std::size_t>(next)] = true;
      op.output = next;
    }
  }

  const GraphOps& graph_;
  const std::vector<int>& outputs_;
  std::vector<std::vector<int>> users_;  // once per use: x + x lists its node twice
  std::vector<FusedOp> bases_;
  std::vector<bool> live_, absorbed_;
};

}  // namespace

void Affine::then(const std::vector<double>& next_scale, const std::vector<double>& next_shift) {
  if (identity()) {
    scale = next_scale;
    shift = next_shift;
    return;
  }
  for (std::size_t c = 0; c < scale.size(); ++c) {
    scale[c] *= next_scale[c];
    shift[c] = shift[c] * next_scale[c] + next_shift[c];
  }
}

std::string window_name(const kernels::Conv2dDims& d) {
  return concat(d.r, "x", d.s, " s", d.stride, " ", d.c, "->", d.k, " @", d.h, "x", d.w);
}

std::string epilogue_name(const FusedOp& op) {
  std::string name;
  if (op.residual >= 0 && op.residual_first) name += " +add";
  if (op.slope != nullptr) name += " +prelu";
  if (op.clamps) name += " +clamp";
  if (op.residual >= 0 && !op.residual_first) name += " +add";
  return name;
}

std::vector<FusedOp> fuse(const GraphOps& graph, const std::vector<int>& outputs) {
  return Fuser(graph, outputs).run();
}

FoldedWeights fold(const FusedOp& op) {
  const auto weight = op.op->weight.values<float>();
  const Shape& shape = op.op->weight.shape();
  const bool depthwise = op.kind == OpKind::kDepthwise;
  // Filters as [outputs][taps][channels]; depthwise: [taps][outputs], one channel.
  const auto outputs = static_cast<std::size_t>(depthwise ? shape[2] : shape[0]);
  const auto taps = static_cast<std::size_t>(depthwise           ? shape[0] * shape[1]
                                             : shape.rank() == 4 ? shape[1] * shape[2]
                                                                 : 1);
  const std::size_t channels = depthwise ? 1 : static_cast<std::size_t>(shape[-1]);
  const bool bordered = !op.before.identity() && op.kind == OpKind::kConv2d && op.op->conv.pad > 0;

  FoldedWeights folded;
  folded.bias_classes = bordered ? kernels::kBorderClasses : 1;
  folded.weight.resize(weight.size());
  folded.bias.resize(static_cast<std::size_t>(folded.bias_classes) * outputs);
  std::vector<double> through(taps);  // what the shift of `before` adds through each tap
  for (std::size_t k = 0; k < outputs; ++k) {
    const double after_scale = op.after.identity() ? 1.0 : op.after.scale[k];
    const double after_shift = op.after.identity() ? 0.0 : op.after.shift[k];
    std::fill(through.begin(), through.end(), 0.0);
    for (std::size_t tap = 0; tap < taps; ++tap) {
      for (std::size_t c = 0; c < channels; ++c) {
        const std::size_t index = depthwise ? tap * outputs + k : (k * taps + tap) * channels + c;
        const std::size_t in = depthwise ? k : c;
        double w = static_cast<double>(weight[index]);
        if (!op.before.identity()) {
          through[tap] += w * op.before.shift[in];
          w *= op.before.scale[in];
        }
        folded.weight[index] = static_cast<float>(w * after_scale);
      }
    }
    const double own = op.op->bias.defined() ? static_cast<double>(op.op->bias.data<float>()[k]) : 0.0;
    for (std::size_t place = 0; place < static_cast<std::size_t>(folded.bias_classes); ++place) {
      double sum = own;
      for (std::size_t tap = 0; tap < taps; ++tap) {
        // Row class place / 3 and column class place % 3: class 0 loses tap 0, class 2 loses tap 2 of three.
        const bool outside = bordered && (place / 3 != 1 ? tap / 3 == place / 3 : false);
        const bool beside = bordered && (place % 3 != 1 ? tap % 3 == place % 3 : false);
        if (!outside && !beside) sum += through[tap];
      }
      folded.bias[place * outputs + k] = static_cast<float>(sum * after_scale + after_shift);
    }
  }
  return folded;
}

}  // namespace aikd::nn
