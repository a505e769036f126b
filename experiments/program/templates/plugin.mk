# make: @NAME@.so.  make check: its contract.  make race: an experiment with it, as a table.
# Of an installed program the headers are found by pkg-config (Debian: libregatta-dev), or else by
# PKG_CONFIG_PATH=PREFIX/lib/pkgconfig make REGATTA=PREFIX/bin/regatta
REGATTA = @PROGRAM@
REGATTA_CFLAGS = @FLAGS@
CFLAGS = -O2 -Wall -Wextra -Werror=implicit-function-declaration
# abi.h changes with the installed headers; a plug-in compiled with other headers is refused.
headers = $(wildcard @HEADERS@/core/abi.h)

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
