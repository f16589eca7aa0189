"""As much of the Hugging Face hub as `datasets` asks for to stream a data set, on loopback."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """A server of data sets, ``{name: {file: bytes}}``.

    Attributes:
        sets: the data sets.
        cuts: file -> after how many bytes each answer with a part of it breaks off.
        asked: method, path and range of each request.
    """

    def __init__(self, sets):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sets, self.cuts, self.asked = sets, {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, code):
        self.answer(404, json.dumps({"error": code}).encode(), X_Error_Code=code)

    def tell(self, value):
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self):
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        path = self.path.partition("?")[0]
        name = re.match(r"/(?:api/)?datasets/(\w+/\w+)", path)
        if not name or name[1] not in self.server.sets:
            return self.refuse("RepoNotFound")
        files, rest = self.server.sets[name[1]], path[name.end() :]
        if re.fullmatch(r"|/revision/(main|c{40})", rest):
            about = {"id": name[1], "_id": "1", "sha": COMMIT, "private": False, "gated": False, "disabled": False}
            siblings = [{"rfilename": file} for file in files]
            return self.tell({**about, "tags": [], "downloads": 0, "likes": 0, "siblings": siblings})
        if rest.startswith("/revision/"):
            return self.refuse("RevisionNotFound")
        if re.fullmatch(r"/tree/[^/]+", rest):
            return self.tell([
                {"type": "file", "path": file, "size": len(data), "oid": "a" * 40} for file, data in files.items()
            ])  # fmt: skip
        found = re.fullmatch(r"/resolve/[^/]+/(.+)", rest)
        if not found or found[1] not in files:
            return self.refuse("EntryNotFound")
        return self.send_file(found[1], files[found[1]])

    do_HEAD = do_GET

    def send_file(self, file, data):
        begin, end = 0, len(data) - 1
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            begin, end = int(wanted[1]), min(int(wanted[2] or end), end)
        body = data[begin : end + 1]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e"')
        self.send_header("X-Repo-Commit", COMMIT)
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{end}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: self.server.cuts.get(file, len(body))])
            if file in self.server.cuts:
                self.close_connection = True
