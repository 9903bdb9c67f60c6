"""Makes optimisers.safetensors: losses and their gradients, five steps of torch.optim.SGD and Adam with two groups,
clipping and a learning rate that changes, and an exponential moving average, all by PyTorch in float64 from float32
inputs.

  loss.*                    a, b [rows, 37] and scores x, target; values and gradients of the losses
  start.<t>, grad.<i>.<t>   parameters t in {a, b, c} before, gradients of step i
  <optimiser>.<i>.<t>       parameters after step i (1 to 5), of c every seventh value; <optimiser>.norm [5]: what
                            clip_grad_norm_ returned
  ema.<i>.<t>               average (decay 0.9) after step i of sgd

Usage: python make_optimisers.py [OUTPUT_FOLDER]   (default: beside this script)"""
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

SHAPES = {"a": (7, 5, 3), "b": (33,), "c": (280, 61)}
GROUPS = {"head": ["b"], "backbone": ["a", "c"]}
RATES = [0.0, 0.01, 0.02, 0.05, 0.05]  # a warm-up that begins at zero
STEPS, MAX_NORM = 5, 60.0


def losses(generator, out):
    a = torch.randn(6, 37, generator=generator)
    b = 0.7 * a + 0.5 * torch.randn(6, 37, generator=generator)
    b[1] = a[1]  # parallel: cos 1
    b[2] = 0  # no direction
    b[3] = -2 * a[3]
    x, target = torch.randn(41, generator=generator), torch.randn(41, generator=generator)
    x[5] = target[5]
    x[6] = target[6] + 0.5  # not necessarily beta apart after rounding: both formulas meet there
    out |= {"loss.a": a, "loss.b": b, "loss.x": x, "loss.target": target}
    wide_b = b.double().requires_grad_()
    loss = torch.nn.CosineEmbeddingLoss()(a.double(), wide_b, torch.ones(6, dtype=torch.float64))
    loss.backward()
    out |= {"loss.cosine": loss.detach(), "loss.cosine.grad": wide_b.grad}
    for name, function in (("l1", torch.nn.L1Loss()), ("smooth_l1", torch.nn.SmoothL1Loss(beta=0.5))):
        wide_x = x.double().requires_grad_()
        loss = function(wide_x, target.double())
        loss.backward()
        out |= {f"loss.{name}": loss.detach(), f"loss.{name}.grad": wide_x.grad}


def sampled(t, tensor):
    return tensor.flatten()[::7].clone() if t == "c" else tensor.clone()


def optimise(kind, start, gradients, out):
    parameters = {t: torch.nn.Parameter(v.double()) for t, v in start.items()}
    options = {"sgd": {"head": dict(momentum=0.9, weight_decay=5e-4), "backbone": dict(momentum=0.1)},
               "adam": {"head": dict(weight_decay=1e-2), "backbone": {}}}[kind]
    groups = [dict(params=[parameters[t] for t in names], lr=0.05, **options[g]) for g, names in GROUPS.items()]
    optimiser = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[kind](groups)
    average = torch.optim.swa_utils.AveragedModel(torch.nn.ParameterDict(parameters),
                                                  multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    norms = []
    for step in range(STEPS):
        for t, p in parameters.items():
            p.grad = gradients[step][t].double()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), MAX_NORM).detach())
        optimiser.param_groups[0]["lr"] = RATES[step]
        optimiser.param_groups[1]["lr"] = 0.1 * RATES[step]
        optimiser.step()
        average.update_parameters(torch.nn.ParameterDict(parameters))
        for t, p in parameters.items():
            out[f"{kind}.{step + 1}.{t}"] = sampled(t, p.detach())
            if kind == "sgd":
                out[f"ema.{step + 1}.{t}"] = sampled(t, average.module[t].detach())
    out[f"{kind}.norm"] = torch.stack(norms)


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    generator = torch.Generator().manual_seed(3)
    out = {}
    losses(generator, out)
    start = {t: torch.randn(shape, generator=generator) for t, shape in SHAPES.items() if t != "c"}
    out |= {f"start.{t}": v for t, v in start.items()}
    # `c` is larger than a chunk of the kernels; it and its gradients are products of a column and a row.
    out |= {"start.c.row": torch.randn(280, 1, generator=generator), "start.c.column": torch.randn(1, 61, generator=generator)}
    start["c"] = out["start.c.row"] * out["start.c.column"]
    gradients = []
    for step in range(STEPS):
        g = {t: torch.randn(shape, generator=generator) * (0.3 + 0.2 * step) for t, shape in SHAPES.items() if t != "c"}
        row, column = torch.randn(280, 1, generator=generator), torch.randn(1, 61, generator=generator)
        out |= {f"grad.{step + 1}.c.row": row, f"grad.{step + 1}.c.column": column}
        out |= {f"grad.{step + 1}.{t}": v for t, v in g.items()}
        g["c"] = (row * column) * (0.3 + 0.2 * step)
        gradients.append(g)
    for kind in ("sgd", "adam"):
        optimise(kind, start, gradients, out)
    save_file({k: v.float().contiguous().reshape(v.shape or (1,)).clone() for k, v in out.items()},
              folder / "optimisers.safetensors", {"torch": torch.__version__})


if __name__ == "__main__":
    main()
