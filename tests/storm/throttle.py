#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Passes requests on to a server that speaks SQS, and refuses them when it is told to.

  tests/storm/throttle.py TARGET_PORT REFUSE_FILE SEED

Prints the port on 127.0.0.1 where it listens, then works until it is killed. While REFUSE_FILE
exists, each request meets one of these, at random: it is passed on; it is turned away because
there are too many, or because the service is not there; it is passed on, and the answer kept
back for one that says that the service failed. Each that was refused is a line on stdout.
"""
import asyncio
import os
import random
import re
import sys

HEAD_BYTES_MAX = 65536

TOO_MANY = (400, "application/x-amz-json-1.0",
            b'{"__type":"com.amazonaws.sqs#ThrottlingException","message":"Rate exceeded"}')
NOT_THERE = (503, "text/html", b"<html><body>Service Unavailable</body></html>")
FAILED = (500, "application/x-amz-json-1.0",
          b'{"__type":"com.amazonaws.sqs#InternalFailure","message":"try again"}')


async def read_message(reader):
    """A request or an answer, its body as long as its head says."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return head + await reader.readexactly(int(length.group(1)) if length else 0)


def write_answer(writer, status, kind, body):
    writer.write(f"HTTP/1.1 {status} Refused\r\nContent-Type: {kind}\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


class Refuser:
    """Listens, passes on, and looks for the file that tells it to refuse."""

    def __init__(self, target, refuse_file, seed):
        self.target = target
        self.refuse_file = refuse_file
        self.chance = random.Random(seed)

    async def serve_one(self, reader, writer, far_reader, far_writer):
        request = await read_message(reader)
        fate = None
        if os.path.exists(self.refuse_file):
            fate = self.chance.choice((None, TOO_MANY, NOT_THERE, FAILED))
        answer = None
        if fate in (None, FAILED):
            far_writer.write(request)
            answer = await read_message(far_reader)
        if fate is None:
            writer.write(answer)
        else:
            print(f"refused {fate[0]}", flush=True)
            write_answer(writer, *fate)
        await writer.drain()

    async def serve(self, reader, writer):
        far_writer = None
        try:
            far_reader, far_writer = await asyncio.open_connection(
                "127.0.0.1", self.target, limit=HEAD_BYTES_MAX)
            while True:
                await self.serve_one(reader, writer, far_reader, far_writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            if far_writer is not None:
                far_writer.close()


async def main():
    refuser = Refuser(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    server = await asyncio.start_server(refuser.serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
