"""The networks of nn/ in PyTorch, written anew from their published structure (tensor names included), and the
seeded weights of nn/initialise in numpy. Shared by make_nets.py and check_pytorch.py."""
import numpy as np
import torch
from torch import nn

DEPTHS = {"iresnet18": (2, 2, 2, 2), "iresnet34": (3, 4, 6, 3), "iresnet50": (3, 4, 14, 3),
          "iresnet100": (3, 13, 30, 3), "iresnet200": (6, 26, 60, 6)}


class IBlock(nn.Module):
    def __init__(self, cin, cout, stride, eps):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(cin, eps=eps)
        self.conv1 = nn.Conv2d(cin, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout, eps=eps)
        self.prelu = nn.PReLU(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout, eps=eps)
        self.downsample = None
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout, eps=eps))

    def forward(self, x):
        y = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    def __init__(self, architecture, embedding=512, eps=1e-5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=eps)
        self.prelu = nn.PReLU(64)
        cin = 64
        for stage, (blocks, cout) in enumerate(zip(DEPTHS[architecture], (64, 128, 256, 512)), start=1):
            layer = [IBlock(cin if i == 0 else cout, cout, 2 if i == 0 else 1, eps) for i in range(blocks)]
            setattr(self, f"layer{stage}", nn.Sequential(*layer))
            cin = cout
        self.bn2 = nn.BatchNorm2d(512, eps=eps)
        self.fc = nn.Linear(512 * 7 * 7, embedding)
        self.features = nn.BatchNorm1d(embedding, eps=eps)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(torch.flatten(self.bn2(x), 1)))


class ConvBnPrelu(nn.Module):
    def __init__(self, cin, cout, kernel, stride=1, padding=0, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        self.prelu = nn.PReLU(cout)

    def forward(self, x):
        return self.prelu(self.bn(self.conv(x)))


class ConvBn(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 1, bias=False)
        self.bn = nn.BatchNorm2d(cout)

    def forward(self, x):
        return self.bn(self.conv(x))


class Bottleneck(nn.Module):
    def __init__(self, cin, cout, inner, stride, residual):
        super().__init__()
        self.conv = ConvBnPrelu(cin, inner, 1)
        self.conv_dw = ConvBnPrelu(inner, inner, 3, stride, 1, groups=inner)
        self.project = ConvBn(inner, cout)
        self.residual = residual

    def forward(self, x):
        y = self.project(self.conv_dw(self.conv(x)))
        return x + y if self.residual else y


class Stage(nn.Module):
    def __init__(self, blocks, channels, inner):
        super().__init__()
        self.model = nn.Sequential(*[Bottleneck(channels, channels, inner, 1, True) for _ in range(blocks)])

    def forward(self, x):
        return self.model(x)


class MobileFaceNet(nn.Module):
    def __init__(self, embedding=128):
        super().__init__()
        self.conv1 = ConvBnPrelu(3, 64, 3, 2, 1)
        self.conv2_dw = ConvBnPrelu(64, 64, 3, 1, 1, groups=64)
        self.conv_23 = Bottleneck(64, 64, 128, 2, False)
        self.conv_3 = Stage(4, 64, 128)
        self.conv_34 = Bottleneck(64, 128, 256, 2, False)
        self.conv_4 = Stage(6, 128, 256)
        self.conv_45 = Bottleneck(128, 128, 512, 2, False)
        self.conv_5 = Stage(2, 128, 256)
        self.sep = nn.Conv2d(128, 512, 1, bias=False)
        self.sep_bn = nn.BatchNorm2d(512)
        self.prelu = nn.PReLU(512)
        self.GDC_dw = nn.Conv2d(512, 512, 7, groups=512, bias=False)
        self.GDC_bn = nn.BatchNorm2d(512)
        self.features = nn.Conv2d(512, embedding, 1, bias=False)
        self.last_bn = nn.BatchNorm2d(embedding)

    def forward(self, x):
        for part in (self.conv1, self.conv2_dw, self.conv_23, self.conv_3, self.conv_34, self.conv_4, self.conv_45,
                     self.conv_5):
            x = part(x)
        x = self.prelu(self.sep_bn(self.sep(x)))
        return torch.flatten(self.last_bn(self.features(self.GDC_bn(self.GDC_dw(x)))), 1)


def conv_bn_relu6(cin, cout, kernel, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(cout), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, cin, cout, stride, expansion):
        super().__init__()
        inner = cin * expansion
        self.residual = stride == 1 and cin == cout
        self.conv = nn.Sequential(conv_bn_relu6(cin, inner, 1), conv_bn_relu6(inner, inner, 3, stride, inner),
                                  nn.Conv2d(inner, cout, 1, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class Separable(nn.Module):
    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(64, 64, 3, 1, 1, groups=64, bias=False)
        self.pointwise = nn.Conv2d(64, 64, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.bn2 = nn.BatchNorm2d(64)

    def forward(self, x):
        return torch.relu(self.bn2(self.pointwise(torch.relu(self.bn1(self.depthwise(x))))))


class GlobalDepthwise(nn.Module):
    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(512, 512, 7, groups=512, bias=False)
        self.bn = nn.BatchNorm2d(512)

    def forward(self, x):
        return self.bn(self.depthwise(x))


class MobileFaceNetV2(nn.Module):
    def __init__(self, embedding=128):
        super().__init__()
        self.conv1 = conv_bn_relu6(3, 64, 3, 2)
        self.dw_conv = Separable()
        self.conv2 = conv_bn_relu6(128, 512, 1)
        self.gdconv = GlobalDepthwise()
        self.conv3 = nn.Conv2d(512, embedding, 1)
        self.bn = nn.BatchNorm2d(embedding)
        blocks, cin = [], 64
        for expansion, cout, count, stride in ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2),
                                               (2, 128, 2, 1)):
            for i in range(count):
                blocks.append(InvertedResidual(cin, cout, stride if i == 0 else 1, expansion))
                cin = cout
        self.features = nn.Sequential(*blocks)

    def forward(self, x):
        x = self.conv2(self.features(self.dw_conv(self.conv1(x))))
        return torch.flatten(self.bn(self.conv3(self.gdconv(x))), 1)


class Mlp(nn.Module):
    def __init__(self, embedding=512, hidden=1024):
        super().__init__()
        self.l1 = nn.Linear(embedding, hidden)
        self.l2 = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.l2(nn.functional.gelu(self.l1(x)))


class AiKd(nn.Module):
    """AI-KD: feature_extractor.*, quality_head.l1/l2.*"""

    def __init__(self, backbone, head):
        super().__init__()
        self.feature_extractor = backbone
        self.quality_head = head

    def forward(self, x):
        e = self.feature_extractor(x)
        return e, self.quality_head(e)


def make_backbone(architecture, embedding=None):
    if architecture in DEPTHS:
        return IResNet(architecture, embedding or 512)
    return {"mobilefacenet": MobileFaceNet, "mobilefacenet-v2": MobileFaceNetV2}[architecture](embedding or 128)


# ---- the counter hash of tensor/random.h and the seeded weights of nn/initialise ----
MASK = (1 << 64) - 1


def splitmix64(x):
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def fnv1a64(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def bits(seed, n):
    key = splitmix64(np.array([seed & MASK], dtype=np.uint64))
    return splitmix64(key ^ splitmix64(np.arange(n, dtype=np.uint64)))


def uniform(seed, n):
    return (bits(seed, n) >> np.uint64(11)).astype(np.float64) * 2.0 ** -53


def normal(seed, n):
    u = uniform(seed, 2 * n)
    return np.sqrt(-2.0 * np.log(1.0 - u[0::2])) * np.cos(6.283185307179586 * u[1::2])


def initialise(module, seed):
    """The weights of nn::initialise(module, seed)."""
    kinds = {name: m for name, m in module.named_modules()}
    state = module.state_dict()
    for name, tensor in state.items():
        owner, leaf = name.rpartition(".")[0], name.rpartition(".")[2]
        m, shape, n, key = kinds[owner], tuple(tensor.shape), tensor.numel(), seed ^ fnv1a64(name)
        is_bn = isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))
        if leaf == "num_batches_tracked":
            value = np.zeros(shape, np.int64)
        elif isinstance(m, nn.Conv2d) and leaf == "weight":
            value = normal(key, n) * np.sqrt(2.0 / float(np.prod(shape[1:])))
        elif isinstance(m, nn.Linear) and leaf == "weight":
            value = normal(key, n) * np.sqrt(1.0 / float(shape[1]))
        elif leaf == "bias":
            value = normal(key, n) * 0.1
        elif is_bn and leaf == "weight":
            value = np.ones(n) if isinstance(m, nn.BatchNorm1d) else 0.75 + (1.25 - 0.75) * uniform(key, n)
        elif leaf == "running_mean":
            value = np.zeros(n)
        elif leaf == "running_var":
            value = np.ones(n)
        elif isinstance(m, nn.PReLU):
            value = 0.1 + (0.4 - 0.1) * uniform(key, n)
        else:
            raise AssertionError(name)
        if leaf != "num_batches_tracked":
            value = value.astype(np.float32).reshape(shape)
        state[name] = torch.from_numpy(np.ascontiguousarray(value))
    module.load_state_dict(state, strict=True)
    return module


def initialise_head(head, seed):
    """A bare nn.Linear has the names of nn::LinearHead already ("weight", "bias")."""
    return initialise(head, seed)


@torch.no_grad()
def calibrate(module, x):
    """Sets every BatchNorm's running statistics to those of its input over the batch x (one pass: each layer sees
    inputs that are already normalised below it). Biased variance."""
    bns = [m for m in module.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]

    def hook(m, inputs):
        v = inputs[0].double()
        dims = [d for d in range(v.dim()) if d != 1]
        m.running_mean.copy_(v.mean(dims))
        m.running_var.copy_(v.var(dims, unbiased=False).clamp_min(1e-3))

    handles = [m.register_forward_pre_hook(hook) for m in bns]
    module.eval()
    module(x)
    for handle in handles:
        handle.remove()
    return module
