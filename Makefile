# SPDX-License-Identifier: GPL-2.0-or-later
# Short words for daily work; Meson does the building, ./run and ./check install what is needed.
.PHONY: all check quick bless bench fuzz format deb clean

all: build/build.ninja
	ninja -C build

build/build.ninja:
	meson setup build

check:
	./check

quick:
	./check --quick

# Rewrites the golden files from what the code says now. Read the diff: each change is a claim.
bless: all
	BLESS=1 meson test -C build --no-rebuild --suite golden --print-errorlogs

bench: all
	/usr/bin/python3 bench/run.py

# Searches for new inputs with clang's libFuzzer, SECONDS for each target; ./check only replays the corpus.
# What it finds stays in build-fuzz/; an input that broke something belongs into tests/fuzz/corpus/.
SECONDS = 60
fuzz: build-fuzz/build.ninja
	ninja -C build-fuzz
	for target in build-fuzz/tests/fuzz/*_fuzz; do \
	    name=$$(basename $$target _fuzz) && mkdir -p build-fuzz/grown/$$name && \
	    $$target -max_total_time=$(SECONDS) -artifact_prefix=build-fuzz/found- \
	        build-fuzz/grown/$$name tests/fuzz/corpus/$$name || exit 1; \
	done

build-fuzz/build.ninja:
	CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
	    -Dc_args=-fsanitize=fuzzer-no-link

# A Debian package for this machine's release: build-deb/fairlead_VERSION_ARCHITECTURE.deb
deb:
	dist/deb.sh

format:
	find src tests bench bpf -name '*.[ch]' 2>/dev/null | xargs clang-format -i

clean:
	rm -rf build build-check build-deb build-fuzz
