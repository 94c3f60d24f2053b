/** The client against a server of a few lines, which answers as it is told. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FS from "node:fs"
import { createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Nbd from "../../src/nbd/Client.ts"

const SIZE = 5 * 1024 * 1024

/** What the export holds: no two neighbours alike, and no two of the client's requests. */
const byteAt = (position: number): number => (position * 7 + Math.floor(position / 4096)) % 251

interface Behaviour {
  readonly greeting?: string
  /** The type of the answer to the request for the export. */
  readonly answer?: number
  /** Of the answer to each read. */
  readonly error?: number
  readonly cookie?: (sent: bigint) => bigint
  /** Bytes of each answer that are sent before the connection is closed. */
  readonly cut?: number
}

const optionReply = (type: number, data: Buffer): Buffer => {
  const head = Buffer.alloc(20)
  head.writeBigUInt64BE(0x0003_e889_0455_65a9n, 0)
  head.writeUInt32BE(7, 8)
  head.writeUInt32BE(type, 12)
  head.writeUInt32BE(data.length, 16)
  return Buffer.concat([head, data])
}

const serve = (socket: Socket, { answer, cookie = (sent) => sent, cut, error = 0, greeting }: Behaviour): void => {
  let pending = Buffer.alloc(0)
  let negotiated = false
  socket.write(Buffer.concat([Buffer.from(greeting ?? "NBDMAGICIHAVEOPT"), Buffer.alloc(2)]))
  socket.on("error", () => {})
  socket.on("data", (data: Buffer) => {
    pending = Buffer.concat([pending, data])
    if (!negotiated) {
      if (pending.length < 26) return
      pending = pending.subarray(26)
      negotiated = true
      const info = Buffer.alloc(12)
      info.writeBigUInt64BE(BigInt(SIZE), 2)
      socket.write(Buffer.concat([optionReply(answer ?? 3, info), optionReply(1, Buffer.alloc(0))]))
    }
    while (pending.length >= 28) {
      const [request, offset, length] = [pending, Number(pending.readBigUInt64BE(16)), pending.readUInt32BE(24)]
      pending = pending.subarray(28)
      if (request.readUInt16BE(6) !== 0) return
      const head = Buffer.alloc(16)
      head.writeUInt32BE(0x67446698)
      head.writeUInt32BE(error, 4)
      head.writeBigUInt64BE(cookie(request.readBigUInt64BE(8)), 8)
      const content = Buffer.from(Array.from({ length: error === 0 ? length : 0 }, (_, at) => byteAt(offset + at)))
      const reply = Buffer.concat([head, content])
      if (cut === undefined) socket.write(reply)
      else socket.end(reply.subarray(0, cut))
    }
  })
}

/** What a client gets from such a server. */
const read = (behaviour: Behaviour, offset = 0, length = 1000) =>
  Effect.gen(function*() {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => FS.mkdtempSync(join(tmpdir(), "backy-nbd-"))),
      (path) => Effect.sync(() => FS.rmSync(path, { recursive: true, force: true }))
    )
    const server = createServer((socket) => serve(socket, behaviour))
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void server.listen(join(folder, "nbd"), () => resume(Effect.void))),
      () => Effect.sync(() => server.close())
    )
    const client = yield* Nbd.connect(join(folder, "nbd"))
    assert.strictEqual(client.size, SIZE)
    return yield* client.read(offset, length)
  }).pipe(Effect.scoped)

const refused = (what: string, behaviour: Behaviour, reason: RegExp) =>
  it.live(`fails when the server ${what}`, () =>
    Effect.map(Effect.flip(read(behaviour)), ({ message }) => assert.match(message, reason)))

describe("the client for network block devices", () => {
  it.live("reads a range of more bytes than a request may have", () =>
    Effect.map(read({}, 1000, 4 * 1024 * 1024 + 500), (bytes) => {
      const wrong = bytes.findIndex((byte, at) => byte !== byteAt(1000 + at))
      assert.deepStrictEqual([bytes.length, wrong], [4 * 1024 * 1024 + 500, -1])
    }))

  refused("speaks something else", { greeting: "SSH-2.0-OpenSSH_" }, /does not speak the newstyle protocol/)
  refused("refuses", { answer: 2 ** 31 + 6 }, /the server refuses/)
  refused("does not tell the size", { answer: 4 }, /does not tell the size/)
  refused("cannot read", { error: 5 }, /the server cannot read \(error 5\)/)
  refused("answers another request", { cookie: (sent) => sent + 1n }, /the server answers something else/)
  refused("goes in the middle of an answer", { cut: 500 }, /the server closed the connection/)
})
