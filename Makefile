# SPDX-License-Identifier: Apache-2.0
# Sources are found by name: every src/<floor>/*.c joins the library but src/cli/main.c; a suffix
# of the file name (_fma, _avx2, _avx512, _avx512bf16, _amx, _neon) selects the instruction set it is built for.
# Variants build beside each other: make BUILD=build/asan SAN=address,undefined check
BUILD  ?= build
VERSION := 0.1.0
CC     ?= gcc
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
SAN    ?=
OPT    ?= -O2
# Tests are compiled more often than they run. -g1: lines and functions, for backtraces; DEBUG=-g: variables too.
TEST_OPT := $(if $(filter -O2,$(OPT)),-O1,$(OPT))
DEBUG  ?= -g1
# Packages come before anything is looked for: when this file has been made, make reads the Makefile anew and finds them.
ifneq ($(MAKECMDGOALS),clean)
include $(BUILD)/packages.mk
endif
ARCH   := $(or $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1),$(shell uname -m))
PKGS   := jansson oniguruma libutf8proc sqlite3 libcrypto zlib yaml-0.1
# Optional: models behind HTTP (libcurl); isara serve, and the server that the tests of such models talk to (libmicrohttpd).
CURL   := $(shell pkg-config --exists libcurl 2>/dev/null && echo libcurl)
MHD    := $(shell pkg-config --exists libmicrohttpd 2>/dev/null && echo libmicrohttpd)
PKGS   += $(CURL)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
MHD_LIBS := $(if $(MHD),$(shell pkg-config --libs $(MHD)))

WARN   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
CFLAGS_ALL = -std=gnu11 $(OPT) $(DEBUG) -ffp-contract=off -fno-math-errno -fPIC -fvisibility=hidden $(WARN) \
             -Isrc -I. -Iinclude -D_FILE_OFFSET_BITS=64 -D_GNU_SOURCE $(PKG_CFLAGS) \
             $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined) $(CFLAGS)
LDLIBS_ALL = $(PKG_LIBS) $(if $(MPI),$(MPI_LIBS)) -lm -lpthread $(LDLIBS)
LDFLAGS_ALL = -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

ISA_generic :=
ISA_fma := -mfma
ISA_avx2 := -mavx2 -mfma -mf16c
ISA_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -mprfchw
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16 -mavx512vnni
ISA_amx := $(ISA_avx512bf16) -mamx-tile -mamx-bf16 -mamx-int8
ISA_neon :=
X86_SRC := $(wildcard src/cpu/*_avx2.c src/cpu/*_avx512.c src/cpu/*_avx512bf16.c src/cpu/*_amx.c src/cpu/*_fma.c)
ARM_SRC := $(wildcard src/cpu/*_neon.c src/cpu/*_arm.c)
# Processes that share a command: one, or MPI's (make MPI=1, or MPI=ompi-c or mpich by the name of its pkg-config file).
MPI    ?=
MPI_PKG := $(if $(filter-out 1,$(MPI)),$(MPI),mpi-c)
MPI_LIBS = $(shell pkg-config --libs $(MPI_PKG))
MPI_SRC := src/dist/dist_mpi.c src/dist/dist_watch.c src/dist/dist_launcher.c src/dist/dist_door.c
SKIP_SRC := $(if $(MPI),src/dist/dist_none.c,$(MPI_SRC)) $(if $(filter x86_64,$(ARCH)),$(ARM_SRC),$(X86_SRC)) $(if $(CURL),src/io/endpoint_none.c src/io/fetch_none.c,src/io/endpoint_curl.c src/io/fetch_curl.c) \
            $(if $(MHD),src/serve/http_none.c,$(wildcard src/serve/*_mhd.c))

LIB_SRC := $(filter-out src/cli/main.c $(SKIP_SRC),$(wildcard src/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(BUILD)/gen/build.o $(BUILD)/gen/page.o
LIB     := $(BUILD)/libisara.a
SO      := $(BUILD)/lib/libisara.so.$(VERSION)
HTTP_TESTS := tests/test_judge_endpoint.c tests/test_method_elsewhere.c
TEST_SRC := $(filter-out $(if $(and $(CURL),$(MHD)),,$(HTTP_TESTS)) $(if $(MHD),,$(wildcard tests/test_serve_*.c)),$(wildcard tests/test_*.c))
TEST_BIN := $(TEST_SRC:%.c=$(BUILD)/%)
TEST_LIB_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/test_%.c tests/served.c,$(wildcard tests/*.c)))
BENCH_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard bench/*.c))
# tools/world_*.c are the synthetic world that models/ is made from; the tools and tests that use it link it.
WORLD_SRC := $(wildcard tools/world_*.c)
WORLD_LIB := $(BUILD)/tools/libworld.a
FUZZ_BIN := $(patsubst fuzz/fuzz_%.c,$(BUILD)/fuzz/replay_%,$(wildcard fuzz/fuzz_*.c))
TOOL_BIN := $(patsubst %.c,$(BUILD)/%,$(filter-out $(WORLD_SRC),$(wildcard tools/*.c)))

# These stay when what they are linked into is made. The library's objects are not among them: one that is missing, as after another choice of optional parts, is made.
.SECONDARY: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/*.c bench/*.c fuzz/*.c tools/*.c))
.PHONY: bench-judge bench-tokenize demo install all lib check fuzz models clean install tests bench-bins tool-bins bench-generate bench-train bench-load
all: $(BUILD)/isara
lib: $(LIB)
# What shell tests put before the system's own functions; a sanitizer's allocator cannot be stood before.
PRELOAD := $(if $(SAN),,$(patsubst %.c,$(BUILD)/%.so,$(wildcard tests/preload/*.c)))
$(BUILD)/tests/preload/%.so: tests/preload/%.c
	@mkdir -p $(@D)
	@$(CC) -std=gnu11 -D_GNU_SOURCE -O1 -fPIC $(WARN) -shared -o $@ $<
# Where MPI is installed, its program is tested too; where MPICH stands beside another, both.
has_pkg = $(shell pkg-config --exists $(1) 2>/dev/null && echo 1)
MPI_BIN := $(if $(SAN),,$(if $(call has_pkg,$(MPI_PKG)),$(BUILD)/isara-mpi) $(if $(call has_pkg,mpich),$(BUILD)/isara-mpich))
tests: $(TEST_BIN) $(FUZZ_BIN) $(PRELOAD) $(MPI_BIN) $(BUILD)/tools/make_shape $(BUILD)/tools/link
bench-bins: $(BENCH_BIN)
tool-bins: $(TOOL_BIN)

isa_name = $(lastword $(subst _, ,$(basename $(notdir $(1)))))
# The unrolled inner kernels take gcc's sanitizers many minutes to compile; the guard bytes of their tests watch them instead.
KERNEL_SRC := $(filter-out src/cpu/kernels.c,$(wildcard src/cpu/kernels_*.c)) $(wildcard src/cpu/linear_q8_*.c) $(foreach i,generic avx2 avx512 avx512bf16 halves_avx512 amx,src/cpu/linear_$(i).c)
isa_of = $(ISA_$(isa_name)) $(if $(and $(SAN),$(filter $(1),$(KERNEL_SRC))),-fno-sanitize=all)
# Version and commit (base/build.h): one small source, which changes only when they do.
$(BUILD)/gen/build.c: always
	@tools/version $(VERSION) $@
$(BUILD)/gen/build.o: $(BUILD)/gen/build.c
	@$(CC) $(CFLAGS_ALL) -c -o $@ $<
# The page of isara view, as arrays that end with a 0 byte: page_view_html, page_view_css, page_view_js.
PAGE := $(wildcard src/serve/page/*)
$(BUILD)/gen/page.c: $(PAGE) Makefile
	@mkdir -p $(@D)
	@{ echo '#include "serve/view_parts.h"'; for f in $(PAGE); do echo "const char page_$$(basename $$f | tr . _)[] = {"; od -An -v -td1 $$f | sed 's/^ *//; s/  */,/g; s/$$/,/'; echo '0};'; done; } >$@
$(BUILD)/gen/page.o: $(BUILD)/gen/page.c
	@$(CC) $(CFLAGS_ALL) -c -o $@ $<
.PHONY: always
$(BUILD)/tests/%.o: OPT := $(TEST_OPT)
$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(CFLAGS_ALL) $(call isa_of,$<) -MMD -MP -c -o $@ $<
$(BUILD)/src/dist/dist_mpi.o: PKG_CFLAGS += $(shell pkg-config --cflags $(MPI_PKG) 2>/dev/null)
$(LIB): $(LIB_OBJ)
	@rm -f $@; ar rcs $@ $^
$(BUILD)/isara: $(BUILD)/src/cli/main.o $(LIB)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(MHD_LIBS) $(LDLIBS_ALL)
$(BUILD)/src/dist/mpich.o: src/dist/dist_mpi.c Makefile
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS_ALL) $(shell pkg-config --cflags mpich) -MMD -MP -c -o $@ $<
# The same program over MPI, of the same objects, for its tests.
MPI_OBJ = $(BUILD)/src/cli/main.o $(filter-out %/dist_mpi.o,$(MPI_SRC:%.c=$(BUILD)/%.o)) $(LIB_OBJ)
$(BUILD)/isara-mpi: $(BUILD)/src/dist/dist_mpi.o $(MPI_OBJ)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $(filter-out %/dist_none.o,$^) $(MHD_LIBS) $(LDLIBS_ALL) $(MPI_LIBS)
$(BUILD)/isara-mpich: $(BUILD)/src/dist/mpich.o $(MPI_OBJ)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $(filter-out %/dist_none.o,$^) $(MHD_LIBS) $(LDLIBS_ALL) $(shell pkg-config --libs mpich)
$(WORLD_LIB): $(WORLD_SRC:%.c=$(BUILD)/%.o)
	@rm -f $@; ar rcs $@ $^
$(patsubst %.c,$(BUILD)/%,$(wildcard tests/test_serve_*.c)): $(BUILD)/tests/served.o
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_LIB_OBJ) $(WORLD_LIB) $(LIB)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $< $(filter %/served.o,$^) $(TEST_LIB_OBJ) $(WORLD_LIB) $(LIB) -lcmocka $(MHD_LIBS) $(LDLIBS_ALL)
# One fuzz target, two drivers: replay_X runs the corpus with any compiler, libfuzzer_X (tools/fuzz) needs clang.
$(BUILD)/fuzz/replay_%: $(BUILD)/fuzz/fuzz_%.o $(BUILD)/fuzz/replay.o $(LIB)
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/fuzz/libfuzzer_%: $(BUILD)/fuzz/fuzz_%.o $(LIB)
	@$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(LIB)
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/tools/%: $(BUILD)/tools/%.o $(WORLD_LIB) $(LIB)
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LDLIBS_ALL)

$(BUILD)/packages.mk: tools/install-deps
	@tools/install-deps && mkdir -p $(@D) && touch $@
check: all tests $(if $(SAN),,$(BUILD)/lib/libisara.so)
	@BUILD=$(BUILD) ISARA_REDUCED=$(REDUCED) tools/run-tests
# isara beside its peers, interleaved: make bench-generate WORKS="W2 W3" DTYPES=bf16 PEERS=openvino REPEATS=3 PEER_PYTHON=venv/bin/python (bench/requirements.txt);
# REPORT=1 prints the table of all results so far
SMOLLM2 ?= $(firstword $(wildcard $(ISARA_SMOLLM2) models/smollm2/*.gguf))
# tokenizers beside huggingface/tokenizers and sentencepiece: make bench-tokenize REPEATS=5 ONLY=llama3,xlmr PEER_PYTHON=venv/bin/python
bench-tokenize: all $(BUILD)/bench/bench_tokenize
	@$(or $(PEER_PYTHON),python3) bench/tokenizers_bench.py --build $(BUILD) --data $(or $(ISARA_DATA),../shared/data) $(if $(REPEATS),--repeats $(REPEATS)) $(if $(ONLY),--only $(ONLY))
# judging beside transformers, rouge_score and sacrebleu: make bench-judge WORKS="classify text sift" REPEATS=3 ROWS=1000 PEER_PYTHON=venv/bin/python
bench-judge: all $(BUILD)/bench/bench_judge
	@BUILD=$(BUILD) PEER_PYTHON=$(PEER_PYTHON) PEERS_ONLY=hf bench/peer-models $(SMOLLM2) $(BUILD)/peers
	@$(or $(PEER_PYTHON),python3) bench/judges.py --build $(BUILD) --model $(BUILD)/peers/hf-bf16 --data $(or $(ISARA_DATA),../shared/data) $(if $(WORKS),--works $(WORKS)) $(if $(REPEATS),--repeats $(REPEATS)) \
	  $(if $(ROWS),--rows $(ROWS))
bench-generate: all $(BUILD)/bench/bench_generate $(BUILD)/bench/bench_limits
	@BUILD=$(BUILD) PEER_PYTHON=$(PEER_PYTHON) bench/peer-models $(SMOLLM2) $(BUILD)/peers
	@$(or $(PEER_PYTHON),python3) bench/peers.py --build $(BUILD) --models $(BUILD)/peers --gguf $(SMOLLM2) --work-json $(or $(ISARA_DATA),../shared/data)/smollm2_load/work.json \
	  $(if $(WORKS),--works "$(WORKS)") $(if $(DTYPES),--dtypes "$(DTYPES)") $(if $(PEERS),--peers "$(PEERS)") $(if $(REPEATS),--repeats $(REPEATS)) $(if $(REPORT),--report)
# A shape of 1.1 billion parameters with random weights (tools/make-shape) beside llama.cpp, transformers, peft and cat: make bench-shapes ONLY="start one-q8_0" REPEATS=3
# PEER_PYTHON=venv/bin/python LLAMA_PYTHON=..., MODELS=DIR for the files (4 GB)
bench-shapes: all $(BUILD)/tools/make_shape $(BUILD)/bench/bench_generate $(BUILD)/bench/bench_train $(BUILD)/bench/bench_limits
	@$(or $(PEER_PYTHON),python3) bench/shapes.py --build $(BUILD) --models $(or $(MODELS),$(BUILD)/shapes) $(if $(LLAMA_PYTHON),--llama-python $(LLAMA_PYTHON)) $(if $(ONLY),--only "$(ONLY)") $(if $(REPEATS),--repeats $(REPEATS))
.PHONY: bench-shapes
# Fine-tuning beside PyTorch, trl and peft: make bench-train WORKS="W5a-bf16 W5b-bf16 W5b-f32 W5b-lora" PEERS="autocast trl f32 peft" REPEATS=3 PROFILE=1 PEER_PYTHON=...
# bench-load: the method's load end to end, W1 + W2 and three epochs of training
PEERS_TRAIN = $(or $(PEER_PYTHON),python3) bench/peers_train.py --build $(BUILD) --models $(BUILD)/peers --work-json $(or $(ISARA_DATA),../shared/data)/smollm2_load/work.json
bench-train: all $(BUILD)/bench/bench_train $(BUILD)/bench/bench_limits
	@BUILD=$(BUILD) PEERS_ONLY=hf bench/peer-models $(SMOLLM2) $(BUILD)/peers
	@$(PEERS_TRAIN) $(if $(WORKS),--works "$(WORKS)") $(if $(PEERS),--peers "$(PEERS)") $(if $(REPEATS),--repeats $(REPEATS)) $(if $(PROFILE),--profile)
bench-load: all $(BUILD)/bench/bench_train $(BUILD)/bench/bench_generate
	@BUILD=$(BUILD) PEER_PYTHON=$(PEER_PYTHON) bench/peer-models $(SMOLLM2) $(BUILD)/peers
	@$(PEERS_TRAIN) --load
# isara serve as its clients see it (lm-evaluation-harness, openai) and beside transformers: make check-peers PEER_PYTHON=venv/bin/python, which has lm-eval[api],
# openai, transformers, torch
check-peers: all
	@BUILD=$(BUILD) PEER_PYTHON=$(PEER_PYTHON) PEERS_ONLY=hf bench/peer-models $(SMOLLM2) $(BUILD)/peers
	@$(or $(PEER_PYTHON),python3) tools/check-serve.py --isara $(BUILD)/isara --model $(BUILD)/peers/hf-bf16 $(if $(PARTS),--parts $(PARTS))
.PHONY: check-peers
# Rebuilds models/ from its recipe (models/README.md); up to an hour.
models: all $(BUILD)/tools/world $(BUILD)/tools/judge_check
	@BUILD=$(BUILD) tools/make-models
check-aarch64:
	@BUILD=$(BUILD) tools/check-aarch64
# examples/slurm/align.sbatch in a Slurm of one node (slurmctld slurmd munge openmpi-bin libopenmpi-dev), started for it alone; as root.
check-slurm: all tests
	@BUILD=$(BUILD) tools/check-slurm
.PHONY: check-slurm
fuzz:
	@tools/fuzz
format:
	@tools/format
format-check:
	@tools/format check
.PHONY: format format-check
.PHONY: bench-align check-aarch64
# align beside transformers + trl; PYTHON has bench/requirements.txt
bench-align: all
	@$${PYTHON:-python3} bench/peer_align.py $(BUILD)/isara $(BUILD)/bench-align
# Every experiment of examples/miniature, into runs/miniature; what they have in common is done once. Goes on after a stop. ONLY="arms" runs one.
reproduce-miniature: all
	@mkdir -p runs/miniature/work; for name in $(or $(ONLY),$(basename $(notdir $(wildcard examples/miniature/*.yaml)))); do \
	  mkdir -p runs/miniature/$$name && ln -sfn ../work runs/miniature/$$name/work && \
	  $(BUILD)/isara experiment examples/miniature/$$name.yaml --output runs/miniature/$$name >runs/miniature/$$name/results.txt || exit $$?; \
	  cat runs/miniature/$$name/results.txt; done
.PHONY: reproduce-miniature
# aligns the bundled miniature; the table at the end is in the README
demo: all $(BUILD)/tools/demo_table
	@BUILD=$(BUILD) tools/demo

clean:
	rm -rf build

# What is installed of the library is include/isara.h: cli/, serve/ and talk/ are left out, and everything but isara_* is hidden, in the archive too, which is one object.
SONAME := libisara.so.0
OBJCOPY ?= objcopy
API_OBJ := $(filter-out $(BUILD)/src/cli/% $(BUILD)/src/serve/% $(BUILD)/src/talk/% $(BUILD)/gen/page.o,$(LIB_OBJ))
$(SO): $(API_OBJ) src/api/exports.map
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS_ALL) -shared -Wl,-z,defs -Wl,-soname,$(SONAME) -Wl,--version-script=src/api/exports.map -o $@ $(API_OBJ) $(LDLIBS_ALL)
$(BUILD)/lib/libisara.so: $(SO)
	@ln -sf $(notdir $(SO)) $@
$(BUILD)/lib/libisara.a: $(API_OBJ)
	@mkdir -p $(@D)
	@$(CC) -r -nostdlib -o $(@D)/isara.o $^ && $(OBJCOPY) --localize-hidden $(@D)/isara.o && rm -f $@ && ar rcs $@ $(@D)/isara.o
$(BUILD)/lib/isara.pc: always
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))' 'includedir=$${prefix}/include' '' 'Name: isara' 'Description: Language models: generate, score, embed, fine-tune, align' \
	  'Version: $(VERSION)' 'Libs: -L$${libdir} -lisara' 'Libs.private: $(strip $(LDLIBS_ALL))' 'Cflags: -I$${includedir}' >$@

# make install PREFIX=/usr/local: the binary, its man page, completion for bash, zsh and fish; the library, its header and its pkg-config file
install: all $(SO) $(BUILD)/lib/libisara.a $(BUILD)/lib/isara.pc
	install -D -m 644 include/isara.h $(DESTDIR)$(PREFIX)/include/isara.h
	install -D -m 644 $(BUILD)/lib/isara.pc $(DESTDIR)$(LIBDIR)/pkgconfig/isara.pc
	install -D -m 644 $(BUILD)/lib/libisara.a $(DESTDIR)$(LIBDIR)/libisara.a
	install -D -m 755 $(SO) $(DESTDIR)$(LIBDIR)/$(notdir $(SO))
	ln -sf $(notdir $(SO)) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libisara.so
	install -D -m 755 $(BUILD)/isara $(DESTDIR)$(PREFIX)/bin/isara
	$(BUILD)/isara --man > $(BUILD)/isara.1
	install -D -m 644 $(BUILD)/isara.1 $(DESTDIR)$(PREFIX)/share/man/man1/isara.1
	$(BUILD)/isara --completion bash > $(BUILD)/isara.bash
	$(BUILD)/isara --completion zsh > $(BUILD)/_isara
	$(BUILD)/isara --completion fish > $(BUILD)/isara.fish
	install -D -m 644 $(BUILD)/isara.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/isara
	install -D -m 644 $(BUILD)/_isara $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_isara
	install -D -m 644 $(BUILD)/isara.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/isara.fish

# make deb: Debian packages of this build in $(BUILD)/deb (debian/).  make dist: a tarball for any x86-64 Linux with glibc 2.28 or later in $(BUILD)/dist (tools/dist).
# make wheel: the same for pip (tools/wheel).
deb: all $(SO) $(BUILD)/lib/libisara.a
	@BUILD=$(BUILD) tools/deb
dist:
	@BUILD=$(BUILD) VERSION=$(VERSION) tools/dist
wheel: dist
	@BUILD=$(BUILD) VERSION=$(VERSION) tools/wheel
# check-packages: each of them installed in a fresh root and used (tools/check-packages)
check-packages: all
	@BUILD=$(BUILD) tools/check-packages
.PHONY: deb dist wheel check-packages

-include $(wildcard $(BUILD)/src/*/*.d $(BUILD)/tests/*.d $(BUILD)/bench/*.d $(BUILD)/fuzz/*.d $(BUILD)/tools/*.d)
