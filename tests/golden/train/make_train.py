"""Makes train_<case>.safetensors: ten training steps of iResNet-18 and a head by PyTorch, written anew from the paper
(AI-KD, arXiv 2404.09555; DifFIQA(R)) with torch.nn losses and torch.optim. tests/aikd/test_train_golden.cpp takes the
same steps.

Both sides start from the same bits and see the same pixels:
  backbone     the seeded weights of nn/initialise (../nets/networks.py), BatchNorm statistics from train_data
               PReLU slopes s become 1 + (s - 0.25) / 100 but for two. Among the ten million values that PReLUs see some
               are always taken across the kink by rounding, and with slopes of 0.25 each of them changes gradients by
               1e-4 to 1e-2 of their norm: PyTorch's float32 is that far from its own float64. In layer4.1 slopes stay
               as they were; `batches` and `shifts` are such that none of its values is near the kink in step one
               (kink_margin()). The stem's are 1: near it, bn1.bias would have a gradient of almost nothing, for
               one of three million values to change by a hundredth
  head         as make_student() documents it: U(-1/sqrt(in), 1/sqrt(in)) by the counter hash of tensor/random.h
  images       ten faces of aikd-synth, 120 x 120 bytes, in train_data. Teacher: the middle 112 x 112. Student: the same
               moved by whole pixels (`shifts`). Step s takes the faces `batches[s]`.

train_data.safetensors: faces U8 [10,120,120,3], labels F32 [10], and bn.<name>, the statistics calibrated
over the ten middles (C++ and PyTorch would calibrate with different last digits).

What is expected is computed in float64 from those float32 numbers: PyTorch's own float32 is as far from it as ours may
be, so it would be no measure; how far is printed and stored in the metadata.
  batches I64 [10,4], shifts I64 [10,4,2] (x, y)
  losses F64 [10,3]   total, quality, cosine;   norms F64 [10]: of all gradients, before clipping
  gradient_norms F64  of step one, in the order of metadata "names" (ours: "backbone.fc.weight", PyTorch's layouts)
  grad.<name>         of step one, tensors of at most 64 elements
  projected.<name>    of step one, larger ones: 64 sums of +-g, signs by the hash (signs() below). With signs s drawn
                      at random, E (s (g - g'))^2 = |g - g'|^2: their mean over 64 estimates the error to about 9 %
  change.<name>       the same sums over (weight after ten steps - weight before), of a few tensors
  after.<name>        running statistics after ten steps, of a few BatchNorms

Usage: python make_train.py                  goldens from train_data.safetensors beside this script
       python make_train.py faces FOLDER     train_data anew (needs Pillow) from
              aikd-synth -o FOLDER --aligned --size 120x120 -n 10 -m 1 --degrade random --seed 3"""
import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "nets"))
import networks as N  # noqa: E402

STEPS, BATCH, FACES, SEED, HEAD_SEED, SMALL = 10, 4, 10, 21, 5, 64
# Gradients of these networks that nobody trained are 10 to 80 long, so that the clip acts in most steps; and a warm-up
# of 2000 steps (a real run's first epoch has more) keeps ten steps of float32 well within 1e-5 of float64. Of 400 with
# Adam, whose steps would else be as small as the last digit of a weight.
AIKD = dict(head="mlp", optimiser="sgd", beta=0, cosine=True, limit=-1, first=0, shifts=4, clip=5, clip_over="trained",
            warmup=2000, from_zero=False, head_group=dict(lr=0.05, momentum=0.9, weight_decay=5e-4),
            backbone_group=dict(lr=0.05, momentum=0.9))
CASES = {
    "l1_all": AIKD,
    "l1_last": AIKD | dict(limit=20, shifts=2),  # begins inside a block, at layer4.0.bn3.weight
    "smooth_l1": AIKD | dict(limit=35, shifts=0, beta=0.5,  # at layer3.1.bn1.bias: its weight is frozen
                             backbone_group=dict(lr=0.05, momentum=0.1)),
    "published": AIKD | dict(limit=20, beta=0.5, clip_over="all", from_zero=True,
                             backbone_group=dict(lr=0.05, momentum=0.1)),
    "diffiqa_r": AIKD | dict(head="linear", optimiser="adam", cosine=False, limit=35, first=9, warmup=400,
                             head_group=dict(lr=1e-3), backbone_group=dict(lr=1e-4)),
}


def shifts_of(case):
    """-4 to 4 pixels, I64 [10,4,2]."""
    values = (N.bits(case["shifts"], STEPS * BATCH * 2) % np.uint64(9)).astype(np.int64) - 4
    return torch.from_numpy(values).reshape(STEPS, BATCH, 2)


def batches_of(case):
    """Which faces, I64 [10,4]."""
    return torch.tensor([[(3 * s + j + case["first"]) % FACES for j in range(BATCH)] for s in range(STEPS)])


def crops(case, data, step, moved):
    """Float32 [4,3,112,112], normalised."""
    images = []
    for face, shift in zip(batches_of(case)[step].tolist(), shifts_of(case)[step].tolist()):
        x, y = (4 + shift[0], 4 + shift[1]) if moved else (4, 4)
        images.append(data["faces"][face, y:y + 112, x:x + 112])
    return normalise(torch.stack(images))


def normalise(images):
    return (images.permute(0, 3, 1, 2).to(torch.float32) / 255 - 0.5) / 0.5


def make_backbone(data):
    net = N.initialise(N.IResNet("iresnet18"), SEED)
    for name, module in net.named_modules():
        if isinstance(module, nn.PReLU) and not name.startswith("layer4.1"):
            slope = module.weight.data.double()
            module.weight.data = (torch.ones_like(slope) if name == "prelu" else 1 + (slope - 0.25) / 100).float()
    if data is not None:
        net.load_state_dict({k[3:]: v for k, v in data.items() if k.startswith("bn.")}, strict=False)
    return net


def make_head(kind):
    head = N.Mlp(512, 1024) if kind == "mlp" else nn.Linear(512, 1)
    key = int(N.splitmix64(np.array([HEAD_SEED], dtype=np.uint64))[0])
    fan_in = 0
    for name, parameter in head.named_parameters():
        fan_in = parameter.shape[1] if parameter.dim() == 2 else fan_in
        bound = 1 / math.sqrt(fan_in)
        u = N.uniform(key ^ N.fnv1a64("head." + name), parameter.numel())
        value = (-bound + (bound - -bound) * u).astype(np.float32)
        parameter.data = torch.from_numpy(value).reshape(parameter.shape)
    return head


class Student(nn.Module):
    def __init__(self, backbone, head):
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x):
        embedding = self.backbone(x)
        return embedding, self.head(embedding)


def choose(student, limit, live_everywhere):
    """Freezes all but the last `limit` tensors of the backbone; evaluation mode for every BatchNorm before them."""
    parameters = list(student.backbone.parameters())
    for p in parameters[:len(parameters) - limit] if limit >= 0 else []:
        p.requires_grad = False
    student.train()
    live = live_everywhere
    for module in student.backbone.modules():  # in the order of parameters(), which is the order of the forward pass
        live = live or any(p.requires_grad for p in module.parameters(recurse=False))
        if not live:
            module.training = False
    student.backbone.features.weight.requires_grad = False


def signs(start, count):
    """+-1 [count, 64]: of element i by the 64 bits of value i of the stream 64, the lowest first."""
    key = N.splitmix64(np.array([64], dtype=np.uint64))
    words = N.splitmix64(key ^ N.splitmix64(np.arange(start, start + count, dtype=np.uint64)))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8).reshape(count, 8), axis=1, bitorder="little")
    return 1.0 - 2.0 * bits


def project(tensor):
    flat, sums = tensor.detach().double().reshape(-1).numpy(), np.zeros(64)
    for start in range(0, flat.size, 1 << 16):
        part = flat[start:start + (1 << 16)]
        sums += part @ signs(start, part.size)
    return torch.from_numpy(sums)


def rate_factor(case, step):
    u = 1.0 if case["warmup"] == 0 else min(1.0, (step + (0 if case["from_zero"] else 1)) / case["warmup"])
    return math.sin(math.pi / 2 * u)


def clip(parameters, largest):
    """clip_grad_norm_, in float32 too with a norm summed in float64: PyTorch's float32 norm of the 12.8 million numbers
    of fc.weight.grad is off by 1e-3 on the CPU, which would hide every other error of a clipped step."""
    norm = torch.stack([p.grad.double().norm() for p in parameters]).norm()
    nn.utils.clip_grads_with_norm_(parameters, largest, norm.to(parameters[0].dtype))
    return float(norm)


def train(case, data, dtype):
    torch.manual_seed(0)
    teacher = make_backbone(data).to(dtype).eval()
    student = Student(make_backbone(data), make_head(case["head"])).to(dtype)
    over_all = case["clip_over"] == "all"
    choose(student, case["limit"], over_all)
    trained = {n: p for n, p in student.named_parameters() if p.requires_grad}
    if over_all:  # the published script's: gradients of everything count for the norm
        for n, p in student.named_parameters():
            p.requires_grad = n != "backbone.features.weight"
    names = [n for n, p in student.named_parameters() if p.requires_grad]
    before = {n: p.detach().clone() for n, p in student.named_parameters()}
    groups = [{"params": [p for n, p in trained.items() if n.startswith(g + ".")], **case[g + "_group"]}
              for g in ("head", "backbone")]
    rates = [g["lr"] for g in groups]
    optimiser = (torch.optim.SGD if case["optimiser"] == "sgd" else torch.optim.Adam)(groups)
    cosine_loss = nn.CosineEmbeddingLoss()
    quality_loss = nn.SmoothL1Loss(beta=case["beta"]) if case["beta"] else nn.L1Loss()

    losses, norms, gradients, nearest = [], [], {}, math.inf
    for step in range(STEPS):
        for group, rate in zip(optimiser.param_groups, rates):
            group["lr"] = rate * rate_factor(case, step)
        labels = data["labels"][batches_of(case)[step]].to(dtype)
        embedding, score = student(crops(case, data, step, case["cosine"]).to(dtype))
        quality = quality_loss(score[:, 0], labels)
        cosine = torch.zeros((), dtype=dtype)
        if case["cosine"]:
            with torch.no_grad():
                target = teacher(crops(case, data, step, False).to(dtype))
            cosine = cosine_loss(target, embedding, torch.ones(BATCH, dtype=dtype))
        loss = quality + cosine
        student.zero_grad()
        loss.backward()
        if step == 0:
            gradients = {n: p.grad.clone() for n, p in student.named_parameters() if p.requires_grad}
        counted = [p for n, p in student.named_parameters() if n in names]
        norms.append(clip(counted, case["clip"]))
        optimiser.step()
        losses.append([float(loss.detach()), float(quality.detach()), float(cosine.detach())])
        nearest = min(nearest, float((score[:, 0] - labels).abs().min().detach()))
    state = student.state_dict()
    change = {n: state[n].double() - before[n].double() for n in trained}
    after = {k: v.double() for k, v in state.items() if "running" in k}
    return dict(losses=torch.tensor(losses, dtype=torch.float64), norms=torch.tensor(norms, dtype=torch.float64),
                gradients=gradients, change=change, after=after, nearest=nearest,
                counts={k: int(v) for k, v in state.items() if k.endswith("num_batches_tracked")})


def relative(a, b):
    return float((a.double() - b).norm() / b.norm())


def compare(single, double):
    """PyTorch's float32 against its float64."""
    total = double["norms"][0]
    zero = [n for n, g in double["gradients"].items() if g.norm() < 1e-9 * total]
    errors = {n: relative(g, double["gradients"][n]) for n, g in single["gradients"].items() if n not in zero}
    worst = max(errors, key=errors.get)
    losses = (single["losses"] - double["losses"]).abs() / double["losses"].abs().clamp_min(1e-300)
    norms = ((single["norms"] / double["norms"]) - 1).abs()
    return dict(loss=f"{float(losses.max()):.2e}", norm=f"{float(norms.max()):.2e}", gradient=f"{errors[worst]:.2e}",
                gradient_of=worst, zero_gradients=len(zero),
                largest_of_zero=f"{max([float(single['gradients'][n].norm() / total) for n in zero], default=0):.2e}")


def make(name, data):
    case = CASES[name]
    single, double = train(case, data, torch.float32), train(case, data, torch.float64)
    own = compare(single, double) | dict(kink_margin=f"{kink_margin(case, data):.1f}")
    # Not of a BatchNorm: its weights near 1 are rounded by as much as a hundredth of their change.
    few = [n for n in double["change"] if n.startswith("head.") or double["change"][n].dim() > 1]
    few = [n for n in few if n.startswith("head.")] + [n for n in few if n.startswith("backbone.")][:2]
    few += [n for n in ("backbone.fc.weight", "backbone.layer4.1.conv2.weight") if n not in few]
    moved = [k for k in double["after"] if double["counts"][k.rpartition(".")[0] + ".num_batches_tracked"] > 0]
    out = {"batches": batches_of(case), "shifts": shifts_of(case), "losses": double["losses"], "norms": double["norms"],
           "gradient_norms": torch.stack([g.norm() for g in double["gradients"].values()])}
    for n, g in double["gradients"].items():
        out |= {f"grad.{n}": g.float()} if g.numel() <= SMALL else {f"projected.{n}": project(g).float()}
    out |= {f"change.{n}": project(double["change"][n]).float() for n in few}
    out |= {f"after.{k}": double["after"][k].float() for k in (*moved[:4], *moved[-4:])}
    metadata = {"names": "\n".join(double["gradients"]), "case": json.dumps(case), "torch": torch.__version__,
                "numpy": np.__version__, "float32_against_float64": json.dumps(own)}
    save_file({k: v.contiguous().clone() for k, v in out.items()}, HERE / f"train_{name}.safetensors", metadata)
    print(name, own, "nearest to the kink of L1", f"{double['nearest']:.3g}", flush=True)
    for what, keys in (("change", few), ("after", (*moved[:4], *moved[-4:]))):
        print(" ", what, {k: f"{relative(single[what][k], double[what][k]):.1e}" for k in keys})
    print(np.array2string(torch.cat([double["losses"], double["norms"][:, None]], 1).numpy(), precision=4))


def kink_margin(case, data):
    """How far the value of layer4.1's PReLU in step one that is nearest to 0 is from it, in units of the deviation of
    PyTorch's float32 from float64."""
    seen = []
    for dtype in (torch.float32, torch.float64):
        student = Student(make_backbone(data), make_head(case["head"])).to(dtype)
        choose(student, case["limit"], case["clip_over"] == "all")
        student.backbone.layer4[1].prelu.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].double()))
        with torch.no_grad():
            student(crops(case, data, 0, case["cosine"]).to(dtype))
    return float(seen[1].abs().min() / (seen[1] - seen[0]).square().mean().sqrt())


def make_data(folder):
    from PIL import Image
    with open(folder / "labels.csv", newline="") as file:
        rows = [(row["path"], float(row["utility"])) for row in csv.DictReader(file)]
    faces = torch.from_numpy(np.stack([np.asarray(Image.open(folder / path).convert("RGB")) for path, _ in rows]))
    data = {"faces": faces, "labels": torch.tensor([label for _, label in rows])}
    net = N.calibrate(make_backbone(None), normalise(faces[:, 4:116, 4:116]))
    data |= {f"bn.{k}": v for k, v in net.state_dict().items() if "running" in k}
    save_file({k: v.contiguous() for k, v in data.items()}, HERE / "train_data.safetensors")


if __name__ == "__main__":
    if sys.argv[1:2] == ["faces"]:
        make_data(Path(sys.argv[2]))
    else:
        for case_name in sys.argv[1:] or CASES:
            make(case_name, load_file(HERE / "train_data.safetensors"))
