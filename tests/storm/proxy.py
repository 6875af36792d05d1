#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Passes TCP connections on, and cuts them when it is told to.

  tests/storm/proxy.py TARGET_PORT CUT_FILE SEED [PORT]

Prints the port on 127.0.0.1 where it listens, PORT if that is given, then works until it is killed. While
CUT_FILE exists, each connection is given a direction and a number of bytes at random
(small ones more often, so that a handshake is hit as well as a long life); once so many
have passed in that direction since then, both ends are reset in mid-stream, right behind
that byte. Each cut is a line on stdout: "cut up 1234".
"""
import asyncio
import os
import random
import socket
import struct
import sys

CHUNK = 65536
CUT_BYTES_MAX_BITS = 17
CUT_CHECK_SECONDS = 0.05


class Line:
    """One connection and what is going to happen to it."""

    def __init__(self, inner, outer):
        self.writers = (inner, outer)
        self.direction = None
        self.left = 0

    def plan(self, chance):
        self.direction = chance.choice(("up", "down"))
        self.left = chance.randrange(1 << chance.randint(0, CUT_BYTES_MAX_BITS))

    def cut(self):
        """Resets both ends; nothing that waits is flushed."""
        for writer in self.writers:
            end = writer.get_extra_info("socket")
            if end is not None:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Listens, passes on, and looks for the file that tells it to cut."""

    def __init__(self, target, cut_file, seed):
        self.target = target
        self.cut_file = cut_file
        self.chance = random.Random(seed)
        self.cutting = False
        self.lines = set()

    async def watch(self):
        while True:
            cutting = os.path.exists(self.cut_file)
            if cutting != self.cutting:
                self.cutting = cutting
                for line in self.lines:
                    line.direction = None
                    if cutting:
                        line.plan(self.chance)
            await asyncio.sleep(CUT_CHECK_SECONDS)

    async def carry(self, line, reader, writer, direction):
        while data := await reader.read(CHUNK):
            if line.direction == direction:
                if line.left < len(data):
                    writer.write(data[:line.left])
                    print(f"cut {direction} {line.left}", flush=True)
                    line.cut()
                    return
                line.left -= len(data)
            writer.write(data)
            await writer.drain()

    async def serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        line = Line(writer, far_writer)
        if self.cutting:
            line.plan(self.chance)
        self.lines.add(line)
        ways = [asyncio.ensure_future(self.carry(line, reader, far_writer, "up")),
                asyncio.ensure_future(self.carry(line, far_reader, writer, "down"))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.lines.discard(line)
            writer.close()
            far_writer.close()


async def main():
    proxy = Proxy(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    port = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await proxy.watch()


if __name__ == "__main__":
    asyncio.run(main())
