# lathe. `make` builds ./lathe and nothing else; `make help` lists the targets.
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=
BUILD   ?= build
CC      ?= cc
CFLAGS  ?= -O2 -g
VERSION := $(shell sed -n 's/^\#define LT_VERSION "\(.*\)"/\1/p' include/lathe/base.h)

# SAN=address,undefined or SAN=thread builds with sanitizers (give BUILD=… too, so that builds do not mix).
SAN ?=
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
WERROR   ?=
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wno-unused-parameter \
            -Wno-missing-field-initializers $(if $(WERROR),-Werror)
DEPS     := libutf8proc libpcre2-8 sqlite3 zlib libzstd
# The set-up goals install what is missing before anything is compiled, so they must not fail here.
PKG_CFLAGS = $(shell pkg-config --cflags $(DEPS))
PKG_LIBS   = $(shell pkg-config --libs $(DEPS))
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Iinclude -Isrc $(CFLAGS) $(WARN) $(SANFLAGS) -fPIC -fvisibility=default \
             -ffp-contract=off -fno-math-errno -pthread $(PKG_CFLAGS)
LIBS       = $(PKG_LIBS) -lm -pthread

# Kernels: src/kernels/cpu/cpu.c once per instruction set, src/kernels/ref/ref.c once per element type.
ARCH := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)
ifeq ($(ARCH),x86_64)
ISAS := base avx2 avxvnni avx512 avx512vnni avx512bf16 amx
else ifeq ($(ARCH),aarch64)
ISAS := base neon
else
ISAS := base
endif
ISA_FLAGS_base   :=
ISA_FLAGS_avx2   := -mavx2 -mfma -mf16c
ISA_FLAGS_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512
ISA_FLAGS_avxvnni    := $(ISA_FLAGS_avx2) -mavxvnni
ISA_FLAGS_avx512vnni := $(ISA_FLAGS_avx512) -mavx512vnni
ISA_FLAGS_avx512bf16 := $(ISA_FLAGS_avx512vnni) -mavx512bf16
ISA_FLAGS_amx        := $(ISA_FLAGS_avx512bf16) -DLT_AMX
ISA_FLAGS_neon   :=

SRC  := $(filter-out src/kernels/cpu/cpu.c src/kernels/ref/ref.c src/train/dist/mpi.c src/cli/main.c,$(sort $(shell find src -name '*.c')))
OBJ  := $(SRC:%.c=$(BUILD)/%.o) $(ISAS:%=$(BUILD)/src/kernels/cpu/cpu_%.o) \
        $(BUILD)/src/kernels/ref/ref_f32.o $(BUILD)/src/kernels/ref/ref_f64.o
CLI_OBJ := $(filter $(BUILD)/src/cli/%,$(OBJ)) $(BUILD)/src/cli/main.o
LIB_OBJ := $(filter-out $(BUILD)/src/cli/%,$(OBJ))

all: lathe ## build ./lathe

lathe: $(BUILD)/lathe
	@[ "$(BUILD)" != build ] || ln -sf $(BUILD)/lathe lathe

$(BUILD)/lathe: $(CLI_OBJ) $(BUILD)/liblathe.a
	$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/liblathe.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^
$(BUILD)/liblathe.so.$(VERSION): $(LIB_OBJ)
	$(CC) -shared $(SANFLAGS) $(LDFLAGS) -Wl,-soname,liblathe.so.0 -o $@ $^ $(LIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(ISAS:%=$(BUILD)/src/kernels/cpu/cpu_%.o): $(BUILD)/src/kernels/cpu/cpu_%.o: src/kernels/cpu/cpu.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(if $(findstring fuzzer,$(SAN)),-O0,$(if $(SAN),-O1,-O3)) $(ISA_FLAGS_$*) -DLT_ISA=$* -MMD -MP -c -o $@ $<
$(BUILD)/src/kernels/ref/ref_f32.o: src/kernels/ref/ref.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DLT_REAL=float -MMD -MP -c -o $@ $<
$(BUILD)/src/kernels/ref/ref_f64.o: src/kernels/ref/ref.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -DLT_REAL=double -MMD -MP -c -o $@ $<

# What `--dist mpi` loads, where there is Open MPI (pkg-config's ompi-c, or mpicc): the library and the command do without it.
MPI_CFLAGS := $(shell pkg-config --cflags ompi-c 2>/dev/null || mpicc --showme:compile 2>/dev/null)
MPI_LIBS   := $(shell pkg-config --libs ompi-c 2>/dev/null || mpicc --showme:link 2>/dev/null)
MPI_PLUGIN := $(if $(MPI_LIBS),$(BUILD)/liblathe-mpi.so)
lathe: $(MPI_PLUGIN)
$(BUILD)/liblathe-mpi.so: src/train/dist/mpi.c src/train/dist/dist.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(MPI_CFLAGS) -shared $(SANFLAGS) $(LDFLAGS) -o $@ $< $(MPI_LIBS)

# Tests: every tests/ROOM/test_*.c is a cmocka program that prints TAP; every tests/ROOM/test_*.sh prints TAP too.
TEST_SRC := $(sort $(shell find tests -name 'test_*.c'))
TEST_BIN := $(TEST_SRC:%.c=$(BUILD)/%)
tests: lathe $(TEST_BIN) ## build the test programs
$(TEST_BIN): $(BUILD)/%: %.c $(BUILD)/liblathe.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -MF $@.d -o $@ $< $(BUILD)/liblathe.a $(LIBS) -lcmocka

# Fuzz targets: every tests/fuzz/fuzz_*.c, with the library instrumented by clang, in a build folder of their own.
FUZZ_SECONDS ?= 600
FUZZ_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzzers: ## build the fuzz targets (clang)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang SAN=fuzzer-no-link,address,undefined CFLAGS='-O1 -g' fuzz-targets
fuzz-targets: $(FUZZ_BIN)
$(FUZZ_BIN): $(BUILD)/%: %.c $(BUILD)/liblathe.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Wno-missing-prototypes -fsanitize=fuzzer -Itests -MMD -MP -MF $@.d -o $@ $< $(BUILD)/liblathe.a $(LIBS)
fuzz: fuzzers ## fuzz every target for FUZZ_SECONDS (600) each
	BUILD=$(BUILD) tools/fuzz.sh $(FUZZ_SECONDS)

# Scripts do the rest; they say what they do, and what they install on the machine, in their first lines.
demo: ## install what is missing, build, fetch a model, index the machine's package descriptions, answer questions
	@MAKE=$(MAKE) tools/demo.sh
check: ## install what is missing, build with warnings as errors, run every test; ends with `N passed, M failed`
	@MAKE=$(MAKE) tools/check.sh
shared: $(BUILD)/liblathe.so.$(VERSION)
install: lathe shared ## install under PREFIX (/usr/local), below DESTDIR
	@$(INSTALL_ENV) tools/install.sh install
uninstall: lathe ## remove what install put there
	@$(INSTALL_ENV) tools/install.sh uninstall
INSTALL_ENV = BUILD='$(BUILD)' VERSION='$(VERSION)' DEPS='$(DEPS)' PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' DESTDIR='$(DESTDIR)'
bench: lathe ## measure lathe and its peers, write docs/performance.md; BENCH='…' gives options (bench/README.md)
	"$$(tools/oracle-venv.sh)/bin/python" bench/peers.py $(or $(BENCH),--save)

clean: ## remove what was built
	rm -rf build lathe

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: all lathe tests fuzzers fuzz-targets fuzz demo check shared install uninstall bench clean help
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
