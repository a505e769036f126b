# make: @NAME@.so.  make check: its contract.  make race: an experiment with it, as a table.
# The headers are Debian's libregatta-dev. If pkg-config does not find them:
# PKG_CONFIG_PATH=PREFIX/lib/pkgconfig make REGATTA=PREFIX/bin/regatta
REGATTA = regatta
REGATTA_CFLAGS = $(shell pkg-config --cflags regatta)
CFLAGS = -O2 -Wall -Wextra
# abi.h changes with the installed headers; a plug-in compiled with other headers is refused.
headers = $(wildcard $(shell pkg-config --variable=includedir regatta)/regatta/core/abi.h)

@NAME@.so: @NAME@.c $(headers)
	$(CC) $(CPPFLAGS) $(REGATTA_CFLAGS) $(CFLAGS) -shared -fPIC $(LDFLAGS) -o $@ @NAME@.c -lm

check: @NAME@.so
	$(REGATTA) check-plugin ./@NAME@.so

# Texts, if any, need a tokenizer.
texts = $(wildcard texts.jsonl)
tokenizer.json: $(texts)
	$(REGATTA) train-tokenizer -o $@ -v 400 $(texts)

race: @NAME@.so $(texts:texts.jsonl=tokenizer.json)
	$(REGATTA) run @NAME@.cfg
	$(REGATTA) table results/@NAME@.db

clean:
	rm -f @NAME@.so

.PHONY: check race clean
