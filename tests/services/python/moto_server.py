# SPDX-License-Identifier: MIT
"""moto's server on loopback, in the clear and with TLS, with one user who may use SQS.

Arguments: PORT TLS_PORT CERTIFICATE KEY ACCOUNT KEY_ID SECRET. Every request is to be signed
with that key; "ready" is printed when both ports listen.
"""
import json
import os
import sys
import threading

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"  # read when moto is imported: check all

from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}],
}


def add_user(account, key_id, secret):
    iam = iam_backends[account]["aws"]
    user = iam.create_user(region_name="us-east-1", user_name="swm")
    key = iam.create_access_key("swm")
    del iam.access_keys[key.physical_resource_id]
    key.access_key_id, key.secret_access_key = key_id, secret
    iam.access_keys[key.physical_resource_id] = key
    user.put_policy("sqs", json.dumps(POLICY))


def main():
    port, tls_port, certificate, private_key, account, key_id, secret = sys.argv[1:]
    os.environ["MOTO_PORT"] = port
    add_user(account, key_id, secret)
    application = DomainDispatcherApplication(create_backend_app)
    servers = [
        make_server("127.0.0.1", int(number), application, threaded=True,
                    request_handler=MotoRequestHandler, ssl_context=context)
        for number, context in ((port, None), (tls_port, (certificate, private_key)))
    ]
    print("ready", flush=True)
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


main()
