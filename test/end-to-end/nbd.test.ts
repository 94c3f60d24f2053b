/**
 * The built program as a server of network block devices, judged by clients that others wrote: libnbd, QEMU, fio and
 * nbdkit. Each test skips itself where its program is not installed, and fails instead with BACKY_TEST_ROOT=1.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn, spawnSync } from "node:child_process"
import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll, beforeAll } from "vitest"
import { backy, bash, chunkFiles, fails, MIB, noise, ok, PROGRAM, run, until, workshop } from "./program.ts"

type Shop = Awaited<ReturnType<typeof workshop>>

const isThere = (program: string): boolean => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0
const isRoot = process.env["BACKY_TEST_ROOT"] === "1"
/** A test that needs programs of others. */
const itWith = (...programs: ReadonlyArray<string>) => isRoot || programs.every(isThere) ? it : it.skip
/** A test that also needs FUSE, which root may use. */
const itWithFuse = (...programs: ReadonlyArray<string>) =>
  isRoot || (process.getuid?.() === 0 && existsSync("/dev/fuse")) ? itWith(...programs) : it.skip

/** Data, a hole in the middle of it, text, and a length that is a multiple of nothing but 512. */
const image = (seed: number): Buffer => {
  const bytes = Buffer.alloc(21 * MIB + 512)
  noise(5 * MIB, seed).copy(bytes, 0)
  bytes.fill("text ", 16 * MIB, 17 * MIB)
  noise(512, seed).copy(bytes, 21 * MIB)
  return bytes
}
const [older, newer] = [image(1), image(2)]

/** A server that runs, as soon as it listens. */
const serve = async (shop: Shop, ...argv: ReadonlyArray<string>) => {
  const socket = join(shop.folder, `nbd-${Math.random().toString(36).slice(2)}`)
  const child = spawn(PROGRAM, shop.args("nbd", "--socket", socket, ...argv), { stdio: ["ignore", "pipe", "pipe"] })
  const said = { out: "", err: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => said.out += text)
  child.stderr.setEncoding("utf8").on("data", (text: string) => said.err += text)
  let hasEnded = false
  const ended = new Promise<number | string | null>((resolve) =>
    child.once("close", (code, signal) => {
      hasEnded = true
      resolve(signal ?? code)
    })
  )
  await until(() => said.out.includes("\n") || hasEnded)
  assert.strictEqual(said.out, `nbd+unix:///?socket=${socket}\n`, said.err)
  return {
    socket,
    uri: said.out.trim(),
    said,
    child,
    ended,
    /** Tells it to end, and gives its exit code. */
    end: (signal: NodeJS.Signals = "SIGTERM") => {
      child.kill(signal)
      return ended
    }
  }
}

/** Runs a line of bash that has to succeed. */
const sh = async (line: string, cwd?: string): Promise<string> => {
  const { code, err, out } = await bash(`set -o pipefail\n${line}`, cwd)
  assert.strictEqual(code, 0, `${line}\n${out}${err}`)
  return out
}

describe("backy nbd", () => {
  let shop: Shop
  let first = ""
  beforeAll(async () => {
    shop = await workshop(older)
    await ok(...shop.args("backup", "daily"))
    writeFileSync(shop.image, newer)
    await ok(...shop.args("backup", "daily"))
    ;[first = ""] = await shop.ids()
    writeFileSync(join(shop.folder, "older"), older)
    writeFileSync(join(shop.folder, "newer"), newer)
  })
  afterAll(() => shop.remove())
  const nbd = (...argv: ReadonlyArray<string>) => shop.args("nbd", ...argv)
  const file = (name: string) => join(shop.folder, name)

  it("runs a command that finds the URI, gives it standard output, and ends as it does", async () => {
    const said = await backy(...nbd("--run", "echo \"$uri\"; test \"$uri\" = \"$NBD_URI\""))
    assert.strictEqual(said.code, 0, said.err)
    assert.match(said.out, /^nbd\+unix:\/\/\/\?socket=\/.*\/nbd\n$/)
    assert.isFalse(existsSync(said.out.trim().slice("nbd+unix:///?socket=".length)))
    assert.match((await backy(...nbd("--run", "exit 7"))).err, /the command of --run ended with exit code 7\n/)
    assert.strictEqual((await backy(...nbd("--run", "kill -9 $$"))).code, 1)
  })

  it("listens where only this user, or this machine, gets", async () => {
    const server = await serve(shop)
    assert.strictEqual(lstatSync(server.socket).mode & 0o777, 0o600)
    assert.match(await fails(1, ...nbd("--socket", server.socket)), /another server listens there/)
    assert.strictEqual(await server.end(), 0)
    assert.isFalse(existsSync(server.socket))
    assert.match(await fails(1, ...nbd("--socket", shop.image)), /something is there that is no socket/)
    assert.match(await fails(1, ...nbd("--socket", file("x".repeat(120)))), /at most 107 bytes/)
    assert.match(await fails(2, ...nbd("--listen", "0.0.0.0:0")), /is not an address of this machine alone/)
    assert.match(await fails(2, ...nbd("--listen", "10809")), /expected ADDRESS:PORT/)
    assert.match(await fails(2, ...nbd()), /where to listen is missing/)
  })

  it("takes the place of a server that was killed", async () => {
    const killed = await serve(shop)
    await killed.end("SIGKILL")
    assert.isTrue(existsSync(killed.socket))
    const said = await run(PROGRAM, nbd("--socket", killed.socket, "--run", "echo here"))
    assert.strictEqual(said.out, "here\n", said.err)
  })

  it("ends within five seconds although a client takes nothing", async () => {
    const server = await serve(shop)
    const client = connect(server.socket)
    await new Promise((resolve) => client.once("connect", resolve))
    const head = Buffer.alloc(28)
    head.writeUInt32BE(0x25609513)
    head.writeUInt32BE(MIB, 24)
    client.pause()
    client.write(Buffer.concat([Buffer.of(0, 0, 0, 3), Buffer.from("IHAVEOPT"), Buffer.of(0, 0, 0, 1, 0, 0, 0, 0)]))
    for (let n = 0; n < 30; n++) client.write(head)
    await setTimeout(300)
    const before = performance.now()
    assert.strictEqual(await server.end(), 0)
    assert.isBelow(performance.now() - before, 5000)
    client.destroy()
  })

  it("keeps purge away, and purge says who it is", async () => {
    const server = await serve(shop)
    const said = await backy(...shop.args("purge"))
    assert.strictEqual(said.code, 75)
    assert.include(said.err, ".purge is locked by ")
    await server.end()
    await ok(...shop.args("purge"))
  })

  itWith("nbdinfo")("is described and listed by nbdinfo", async () => {
    const server = await serve(shop, "-r", "first")
    const { exports: [told] } = JSON.parse(await sh(`nbdinfo --json '${server.uri}'`))
    assert.strictEqual(told["export-size"], older.length)
    assert.deepStrictEqual(
      [told["is_read_only"], told["can_multi_conn"], told["can_df"], told.contexts],
      [true, true, true, ["base:allocation"]]
    )
    const { exports } = JSON.parse(await sh(`nbdinfo --json --list '${server.uri}'`))
    const names = exports.map((each: Record<string, unknown>) => each["export-name"])
    // it calls the one without a name as the server does
    assert.deepStrictEqual(names, [first, ...await shop.ids()])
    const map = await sh(`nbdinfo --map '${server.uri}'`)
    assert.deepStrictEqual(map.trim().split("\n").map((line) => line.trim().split(/\s+/).slice(0, 3).join(" ")), [
      "0 8388608 0",
      "8388608 8388608 3",
      `16777216 ${5 * MIB + 512} 0`
    ])
    await server.end()
  })

  itWith("nbdcopy")("gives nbdcopy the image, of each revision", async () => {
    await sh(
      `backy ${nbd("-r", "0").map((word) => `'${word}'`).join(" ")} --run 'nbdcopy "$uri" -' | cmp - newer`,
      shop.folder
    )
    const server = await serve(shop)
    await sh(`nbdcopy 'nbd+unix:///${first}?socket=${server.socket}' - | cmp - older`, shop.folder)
    await sh(
      `nbdcopy --no-extents --requests=1 --request-size=4096 '${server.uri}' copy && cmp copy newer`,
      shop.folder
    )
    await server.end()
  })

  itWith("nbdcopy")("serves over TCP on this machine", async () => {
    const line = nbd("--listen", "127.0.0.1:0", "--run", "nbdcopy \"$uri\" -").map((word) => `'${word}'`).join(" ")
    await sh(`backy ${line} | cmp - newer`, shop.folder)
  })

  itWith("qemu-img", "qemu-io")("is the image to QEMU", async () => {
    const server = await serve(shop)
    await sh(`qemu-img compare -f raw -F raw '${server.uri}' newer`, shop.folder)
    await sh(
      `qemu-img convert -f raw -O qcow2 '${server.uri}' converted && qemu-img compare converted newer`,
      shop.folder
    )
    const map: ReadonlyArray<{ start: number; length: number; zero: boolean }> = JSON.parse(
      await sh(`qemu-img map --output=json -f raw '${server.uri}'`)
    )
    assert.deepStrictEqual(
      map.filter(({ zero }) => zero).map(({ length, start }) => [start, length]),
      [[8 * MIB, 8 * MIB]]
    )
    await sh(`qemu-io -r -f raw -c 'read -P 0 8M 8M' '${server.uri}' | grep -q '^read 8388608'`)
    assert.notStrictEqual((await bash(`qemu-io -f raw -c 'write 0 512' '${server.uri}'`)).code, 0)
    await server.end()
  })

  itWith("qemu-io", "nbdkit", "nbdcopy")("takes writes into an overlay, to the same effect as nbdkit's", async () => {
    const writes = [
      "write -P 1 3 100",
      "write -P 2 4194000 1000",
      "write -z -u 1M 3M",
      "write -P 3 10M 64k",
      "discard 16M 512k",
      "write -P 4 21M 512",
      "write -f -P 5 65000 2000",
      "flush"
    ].map((command) => `-c '${command}'`).join(" ")
    const server = await serve(shop, "--overlay", file("overlay"))
    await sh(`qemu-io -f raw ${writes} '${server.uri}' && nbdcopy '${server.uri}' ours`, shop.folder)
    // killed: what was flushed is there
    await server.end("SIGKILL")
    const again = await serve(shop, "--overlay", file("overlay"))
    await sh(`nbdcopy '${again.uri}' - | cmp - ours`, shop.folder)
    assert.strictEqual(await again.end(), 0)
    const plain = await serve(shop)
    await sh(
      `nbdkit -U - --filter=cow nbd uri='${plain.uri}' --run 'qemu-io -f raw ${
        writes.replaceAll("'", "\"")
      } "$uri" && nbdcopy "$uri" - | cmp - ours'`,
      shop.folder
    )
    assert.strictEqual(await plain.end(), 0)
    assert.isBelow(statSync(file("overlay")).blocks * 512, 3 * MIB)
    assert.match(
      await fails(1, ...nbd("-r", "first", "--overlay", file("overlay"), "--socket", file("s"))),
      /belongs to/
    )
    await ok(...shop.args("verify"))
  })

  itWith("nbdkit", "nbdcopy")("stands behind nbdkit's filters", async () => {
    const server = await serve(shop)
    for (const filter of ["blocksize maxdata=65536", "cache", "readahead", "retry"]) {
      const [name = "", ...settings] = filter.split(" ")
      await sh(
        `nbdkit -U - --filter=${name} nbd uri='${server.uri}' ${
          settings.join(" ")
        } --run 'nbdcopy "$uri" copy' && cmp copy newer`,
        shop.folder
      )
    }
    await server.end()
  })

  itWith("fio")("survives fio at random, several requests at a time", async () => {
    const server = await serve(shop, "--overlay", file("fio-overlay"))
    await sh(
      `fio --name=x --ioengine=nbd --uri='${server.uri}' --rw=randrw --bs=4k --iodepth=32 --size=12m --io_size=4m ` +
        `--verify=crc32c --do_verify=1 --randseed=7`,
      shop.folder
    )
    await server.end()
  })

  itWithFuse("nbdfuse")("is a file by nbdfuse", async () => {
    const server = await serve(shop)
    const mount = shop.makeFolder("nbdfuse")
    await sh(
      `nbdfuse ${mount}/disk '${server.uri}' & until [ -e ${mount}/disk ]; do sleep 0.1; done
      cmp ${mount}/disk newer; result=$?; umount ${mount}; wait; exit $result`,
      shop.folder
    )
    await server.end()
  })

  itWithFuse("qemu-storage-daemon")("is a file by the FUSE export of qemu-storage-daemon", async () => {
    const server = await serve(shop)
    writeFileSync(file("fuse"), "")
    await sh(
      `qemu-storage-daemon --blockdev driver=nbd,node-name=x,server.type=unix,server.path='${server.socket}',read-only=on \
        --export type=fuse,id=y,node-name=x,mountpoint='${file("fuse")}' & pid=$!
      until [ "$(stat -c %s fuse)" != 0 ]; do sleep 0.1; done
      cmp fuse newer; result=$?; kill $pid; wait $pid; exit $result`,
      shop.folder
    )
    await server.end()
  })

  itWith("nbdcopy")("gives nobody a damaged chunk, and names it once", async () => {
    mkdirSync(file("damaged"))
    await sh(`cp -a vm damaged/`, shop.folder)
    const repository = join(file("damaged"), "vm")
    // one of each revision
    for (const chunk of chunkFiles(repository).filter((path) => statSync(path).size > 4 * MIB - 100_000)) {
      await sh(`chmod u+w '${chunk}' && printf xyz | dd of='${chunk}' bs=1 seek=1000 conv=notrunc status=none`)
    }
    const copies = `nbdcopy "$uri" - >/dev/null; echo $?; nbdcopy "$uri" - >/dev/null; echo $?`
    const said = await backy("-b", repository, "nbd", "--run", copies)
    assert.strictEqual(said.out, "1\n1\n")
    const named = [...said.err.matchAll(/clients get an I\/O error for image bytes (\d+) to (\d+): chunk /g)]
    assert.strictEqual(named.length, new Set(named.map(([_, from]) => from)).size)
    assert.isAbove(named.length, 0)
  })

  it("leaves the repository as it was", async () => {
    await ok(...shop.args("verify"))
    assert.isTrue(newer.equals(await shop.restored()))
    assert.isTrue(older.equals(readFileSync(file("older"))))
  })
})
