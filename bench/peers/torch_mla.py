"""Times PyTorch on one absorbed MLA decode: bf16 matmul, softmax, bf16 matmul over contiguous keys, unfused.

    python3 torch_mla.py THREADS H:KV …

Prints one JSON line per problem, with the error of the first heads against float64.
"""

import json
import sys
import time

import torch

HEAD_DIM, VALUE_DIM, RUNS, CHECKED_HEADS = 576, 512, 15, 4


def attention(q, k, scale):
    return torch.softmax((q @ k.T).mul_(scale), dim=-1) @ k[:, :VALUE_DIM]


def measure(threads, h, kv):
    torch.manual_seed(0)
    q = torch.randn(h, HEAD_DIM).bfloat16()
    k = torch.randn(kv, HEAD_DIM).bfloat16()
    scale = HEAD_DIM**-0.5
    seconds = []
    for run in range(RUNS + 3):
        begin = time.perf_counter()
        out = attention(q, k, scale)
        if run >= 3:
            seconds.append(time.perf_counter() - begin)
    seconds.sort()
    exact = attention(q[:CHECKED_HEADS].double(), k.double(), scale)
    error = ((out[:CHECKED_HEADS].double() - exact).abs().max() / exact.abs().max()).item()
    median = seconds[RUNS // 2]
    return {
        "peer": "PyTorch bf16, unfused",
        "library": f"torch {torch.__version__}",
        "threads": threads,
        "h_q": h,
        "s_k": kv,
        "us": round(median * 1e6, 1),
        "us_min": round(seconds[0] * 1e6, 1),
        "gflops": round(2 * h * kv * (HEAD_DIM + VALUE_DIM) / median / 1e9, 1),
        "error": float(f"{error:.1e}"),
    }


def main():
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    with torch.no_grad():
        for problem in sys.argv[2:]:
            h, kv = map(int, problem.split(":"))
            print(json.dumps(measure(threads, h, kv)), flush=True)


if __name__ == "__main__":
    main()
