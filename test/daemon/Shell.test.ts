import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { connect, type Socket } from "node:net"
import type { Controls } from "../../src/daemon/commands.ts"
import * as Shell from "../../src/daemon/Shell.ts"
import { status } from "../support/jobStatus.ts"

const names = ["web01", "web02", "db01", `${"a".repeat(40)}!`]
let reloads = 0
const controls: Controls = {
  statuses: Effect.succeed(names.map((job) => status({ job }))),
  request: (name) => Effect.succeed(name === "web01" ? "requested" : name === "db01" ? "running" : "unknown"),
  reload: Effect.sync(() => ++reloads === 1 ? undefined : "line 3 is wrong\nline 4, too")
}

const scope = Effect.runSync(Scope.make())
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const serve = (limits?: Shell.Limits) =>
  Effect.runPromise(
    Shell.serve({ host: "127.0.0.1", port: 0, controls, ...limits === undefined ? {} : { limits } }).pipe(
      Scope.extend(scope)
    )
  )

/** Sends bytes and gives everything that comes until the server closes. */
const talk = (port: number, send: (socket: Socket) => void): Promise<string> =>
  new Promise((resolve, reject) => {
    let all = ""
    const socket = connect(port, "127.0.0.1", () => send(socket))
    socket.setEncoding("utf8").on("data", (text: string) => {
      all += text
    }).on("error", reject).on("close", () => resolve(all))
  })

describe("the shell", () => {
  it("answers each line, however the packets are cut, and says goodbye", async () => {
    const { port } = await serve()
    const answer = await talk(port, (socket) => {
      for (const byte of "jobs web\r\nrun web01\nrun db01\nrun nothing\nfoo\n\nquit\n") socket.write(byte)
    })
    assert.match(answer, /^backy \S+\r\nReady\.\r\nbacky> \+-/)
    assert.match(answer, /\| web01 \| OK +\|/)
    assert.notMatch(answer, /\| db01/)
    assert.match(
      answer,
      /2 jobs shown\r\nbacky> Triggered immediate run for web01\r\nbacky> db01 is running already\r\n/
    )
    assert.match(answer, /Unknown job nothing\r\nbacky> no such command\.\r\nbacky> backy> Goodbye\.\r\n$/)
    assert.notMatch(answer, /[^\r]\n/)
  })

  it("answers a client that has closed its side", async () => {
    const { port } = await serve()
    const answer = await talk(port, (socket) => socket.end("status\nreload\nreload\n"))
    assert.match(answer, /\| waiting for deadline \| 4 \|/)
    assert.match(
      answer,
      /Daemon configuration reloaded\.\r\nbacky> .*\r\n.*the old one stays:\r\nline 3 is wrong\r\nline 4, too\r\n/
    )
  })

  it("is not stalled by an expression that takes years, nor ended by one that is wrong", async () => {
    const { port } = await serve()
    let ticks = 0
    const timer = setInterval(() => ticks++, 20)
    const answer = await talk(port, (socket) => socket.end("jobs (a+)+b$\njobs (\njobs ^web0[12]$\nquit\n"))
    clearInterval(timer)
    assert.match(answer, /Cannot look for "\(a\+\)\+b\$": this expression takes too long\r\n/)
    assert.match(answer, /Cannot look for "\("/)
    assert.match(answer, /2 jobs shown/)
    // the loop went on all the time
    assert.isAbove(ticks, 10)
  })

  it("ends a session that sends no line end, one in which nobody types, and takes no more than it may", async () => {
    const { port } = await serve({ sessions: 2, idle: Duration.millis(500) })
    assert.match(await talk(port, (socket) => socket.write("x".repeat(5000))), /No command is that long/)
    const idle = [talk(port, () => undefined), talk(port, () => undefined)]
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.match(await talk(port, () => undefined), /too many sessions/)
    for (const one of await Promise.all(idle)) assert.match(one, /Nobody is there/)
  })

  it("says which port another program has", async () => {
    const { port } = await serve()
    const error = await Effect.runPromise(
      Effect.flip(Effect.scoped(Shell.serve({ host: "127.0.0.1", port, controls })))
    )
    assert.match(error.message, /cannot listen on 127\.0\.0\.1 port \d+: another program uses it/)
  })
})
