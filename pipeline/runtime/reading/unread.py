"""Files of kinds that nothing here reads: what to do about them, by their suffix."""

CURES = {
    ".json": "write one object per line (jq -c '.[]' x.json > x.jsonl), or name it .jsonl if it is so already",
    ".bz2": "pack it as .gz",
    ".zst": "pack it as .gz",
    ".xlsx": "save it as CSV, in UTF-8",
    ".xls": "save it as CSV, in UTF-8",
    ".xml": "write a table: CSV or JSON Lines",
    ".gif": "convert the images to PNG or JPEG",
    ".bmp": "convert the images to PNG or JPEG",
    ".tif": "convert the images to PNG or JPEG",
    ".tiff": "convert the images to PNG or JPEG",
    ".rar": "pack it as .zip or .tar.gz",
    ".7z": "pack it as .zip or .tar.gz",
}
