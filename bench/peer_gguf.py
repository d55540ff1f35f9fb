# SPDX-License-Identifier: Apache-2.0
"""Writes a GGUF model again with its matrices in another type, for llama.cpp as a peer: peer_gguf.py IN.gguf OUT.gguf BF16|Q8_0"""
import sys
import gguf, numpy
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

source, target, wanted = GGUFReader(sys.argv[1]), sys.argv[2], GGMLQuantizationType[sys.argv[3]]
writer = GGUFWriter(target, source.fields["general.architecture"].contents())
for name, field in source.fields.items():
    if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
        continue
    kind = field.types[0]
    writer.add_key_value(name, field.contents(), kind, field.types[-1] if kind == GGUFValueType.ARRAY else None)
writer.add_file_type({"BF16": gguf.LlamaFileType.MOSTLY_BF16, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}[sys.argv[3]])
for t in source.tensors:
    x = quants.dequantize(t.data, t.tensor_type).astype(numpy.float32)
    kind = wanted if x.ndim == 2 else GGMLQuantizationType.F32
    writer.add_tensor(t.name, quants.quantize(x, kind), raw_dtype=kind)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
