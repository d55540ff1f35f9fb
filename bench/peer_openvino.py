# SPDX-License-Identifier: Apache-2.0
"""OpenVINO GenAI as a peer: peer_openvino.py MODEL_DIR work.json f32|bf16|q8. MODEL_DIR is an export of optimum-intel (fp16 weights for f32 and bf16,
int8 for q8). All requests at once through its continuous batching; the key and value cache in its default precision (u8). It does not score given texts."""
import sys
import numpy, openvino, openvino_genai
from peer import N_BEAM, N_THREAD, MAX_NEW, load_ids, serve

model_dir, work, dtype = sys.argv[1:4]
ids = load_ids(work)
scheduler = openvino_genai.SchedulerConfig()
scheduler.cache_size = 2
scheduler.enable_prefix_caching = False
scheduler.max_num_seqs = 256
properties = {"INFERENCE_NUM_THREADS": N_THREAD, "INFERENCE_PRECISION_HINT": "f32" if dtype == "f32" else "bf16"}
pipe = openvino_genai.ContinuousBatchingPipeline(model_dir, scheduler, "CPU", properties)


def generate(name):
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens, config.num_beams, config.num_return_sequences, config.do_sample = MAX_NEW[name], N_BEAM[name], 1, False
    if N_BEAM[name] > 1:
        config.num_beam_groups = 1
    config.apply_chat_template = False
    if name != "W1":
        config.ignore_eos = True
    else:
        config.set_eos_token_id(2)
    prompts = [openvino.Tensor(numpy.array([p])) for p in ids[name]]
    results = pipe.generate(prompts, [config] * len(prompts))
    return "ids", [list(r.m_generation_ids[0]) for r in results]


serve({name: (lambda name=name: generate(name)) for name in N_BEAM if name in ids}, {"openvino": openvino.__version__, "openvino_genai": openvino_genai.__version__})
