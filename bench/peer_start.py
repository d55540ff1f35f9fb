# SPDX-License-Identifier: Apache-2.0
"""How long transformers takes to load a model and to make one token: peer_start.py MODEL_DIR. Prints {"import": s, "load": s, "token": s}; what is imported is not
counted as loading."""
import json, sys, time

start = time.perf_counter()
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

imported = time.perf_counter()
torch.set_num_threads(2)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16).eval()
loaded = time.perf_counter()
with torch.inference_mode():
    x = tokenizer("the rest of it", return_tensors="pt").input_ids
    model(input_ids=x).logits[0, -1].argmax().item()
done = time.perf_counter()
print(json.dumps({"import": imported - start, "load": loaded - imported, "token": done - loaded}))
