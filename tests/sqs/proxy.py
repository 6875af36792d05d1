#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stands before a server that speaks SQS and does to its answers what it is told.

  proxy.py PORT-FILE UPSTREAM-URL

POST /rule with {"action", "times", "do", ...} adds a rule for the next `times` requests of
that action ("*": any); DELETE /rule forgets all; GET /log gives what came: a list of
{"action", "headers", "body"}. What can be done:
  answer   with "status", "body" and "headers", without asking the server
  cut      half of the server's answer, then the connection is closed
  drop     nothing of it
  garble   half of it as if it were all
  replace  "from" (a regular expression) by "to" in the answer
  hold     the request is not answered for "seconds"
"""
import http.client
import http.server
import json
import os
import re
import sys
import threading
import time
import urllib.parse

UPSTREAM = urllib.parse.urlsplit(sys.argv[2])
LOCK = threading.Lock()
RULES = []
LOG = []


def rule_for(action):
    """Uses up one of the first rule that fits."""
    with LOCK:
        for rule in RULES:
            if rule["times"] > 0 and rule["action"] in (action, "*"):
                rule["times"] -= 1
                return rule
    return {"do": "pass"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass

    def reply(self, status, body, headers=()):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def ask(self, body):
        upstream = http.client.HTTPConnection(UPSTREAM.hostname, UPSTREAM.port, timeout=60)
        headers = {name: value for name, value in self.headers.items()
                   if name.lower() not in ("host", "connection")}
        headers["Host"] = UPSTREAM.netloc
        upstream.request("POST", self.path, body, headers)
        answer = upstream.getresponse()
        text = answer.read()
        upstream.close()
        return answer.status, text, [("Content-Type", answer.getheader("Content-Type", ""))]

    def do_GET(self):
        with LOCK:
            self.reply(200, json.dumps(LOG).encode())
            LOG.clear()

    def do_DELETE(self):
        with LOCK:
            RULES.clear()
            LOG.clear()
        self.reply(200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/rule":
            with LOCK:
                RULES.append(json.loads(body))
            self.reply(200, b"")
            return
        action = self.headers.get("X-Amz-Target", "").removeprefix("AmazonSQS.")
        with LOCK:
            LOG.append({"action": action, "headers": dict(self.headers.items()),
                        "body": body.decode(errors="replace")})
        self.serve(rule_for(action), body)

    def serve(self, rule, body):
        if rule["do"] == "answer":
            self.reply(rule["status"], rule["body"].encode(), rule.get("headers", {}).items())
            return
        if rule["do"] == "hold":
            time.sleep(rule["seconds"])
        status, text, headers = self.ask(body)
        if rule["do"] == "replace":
            text = re.sub(rule["from"].encode(), rule["to"].encode(), text)
        elif rule["do"] == "garble":
            text = text[:len(text) // 2]
        elif rule["do"] in ("cut", "drop"):
            self.close_connection = True
            if rule["do"] == "cut":
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text[:len(text) // 2])
            return
        self.reply(status, text, headers)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that has gone away is what tests are about."""


def main():
    server = Server(("127.0.0.1", 0), Handler)
    with open(sys.argv[1] + ".new", "w", encoding="ascii") as file:
        file.write(str(server.server_address[1]))
    # The name appears when the port is in it and answers.
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    server.serve_forever()


if __name__ == "__main__":
    main()
