#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gives out credentials in the three ways of AWS, for tests, and checks how it is asked.

  responder.py PORT-FILE TOKEN-FILE

  GET /container               a container's endpoint; wants the token of TOKEN-FILE
  PUT /latest/api/token        an instance's metadata (IMDSv2), and below it
  POST /                       the token service: AssumeRoleWithWebIdentity, unsigned
Each set has the key id KIND followed by its number: CONTAINER1, CONTAINER2, ... and is good
for LIFETIME seconds, which POST /lifetime/N sets; POST /broken/N has the next N answers fail.
"""
import datetime
import http.server
import json
import os
import sys
import urllib.parse

KEYS = "/latest/meta-data/iam/security-credentials/"
STATE = {"lifetime": 3600, "broken": 0, "number": 0}


def fresh(kind):
    STATE["number"] += 1
    until = (datetime.datetime.now(datetime.timezone.utc) +
             datetime.timedelta(seconds=STATE["lifetime"]))
    return {"AccessKeyId": f"{kind}{STATE['number']}", "SecretAccessKey": "secret/+=",
            "Token": f"token-of-{kind}{STATE['number']}",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ")}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass

    def reply(self, status, text=""):
        if STATE["broken"] > 0 and not self.path.startswith(("/lifetime", "/broken")):
            STATE["broken"] -= 1
            status, text = 503, "not now"
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        if self.path == "/container":
            with open(sys.argv[2], encoding="ascii") as file:
                good = self.headers.get("Authorization") == file.read().strip()
            self.reply(200 if good else 403, json.dumps(fresh("CONTAINER")) if good else "")
        elif self.headers.get("X-aws-ec2-metadata-token") != "session":
            self.reply(401)
        elif self.path == KEYS:
            self.reply(200, "role\n")
        elif self.path == KEYS + "role":
            self.reply(200, json.dumps({"Code": "Success", **fresh("INSTANCE")}))
        else:
            self.reply(404)

    def do_PUT(self):
        good = (self.path == "/latest/api/token" and
                self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit())
        self.reply(200 if good else 400, "session" if good else "")

    def do_POST(self):
        parts = self.path.strip("/").split("/")
        if parts[0] in STATE:
            STATE[parts[0]] = int(parts[1])
            self.reply(200)
            return
        form = urllib.parse.parse_qs(
            self.rfile.read(int(self.headers["Content-Length"])).decode())
        with open(sys.argv[2], encoding="ascii") as file:
            good = (form["Action"] == ["AssumeRoleWithWebIdentity"] and
                    form["RoleArn"] == ["arn:aws:iam::123456789012:role/swm test"] and
                    form["WebIdentityToken"] == [file.read().strip()] and
                    "Authorization" not in self.headers)
        if not good:
            self.reply(400, "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error>"
                       "</ErrorResponse>")
            return
        keys = fresh("WEB")
        self.reply(200, "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>"
                   f"<Credentials><SessionToken>{keys['Token']}</SessionToken>"
                   f"<SecretAccessKey>{keys['SecretAccessKey']}</SecretAccessKey>"
                   f"<Expiration>{keys['Expiration']}</Expiration>"
                   f"<AccessKeyId>{keys['AccessKeyId']}</AccessKeyId></Credentials>"
                   "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")


def main():
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    with open(sys.argv[1] + ".new", "w", encoding="ascii") as file:
        file.write(str(server.server_address[1]))
    # The name appears when the port is in it and answers.
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    server.serve_forever()


if __name__ == "__main__":
    main()
