/** What is done is done: neither its report nor a signal makes it a failure, nor is a result lost with its record. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { bash, MIB, noise, ok, PROGRAM, workshop } from "./program.ts"

let shop: Awaited<ReturnType<typeof workshop>>
beforeAll(async () => {
  shop = await workshop(noise(6 * MIB))
  await ok(...shop.args("backup", "daily"))
})
afterAll(() => shop.remove())

const complete = () =>
  readdirSync(shop.repository).filter((name) =>
    name.endsWith(".rev") && readFileSync(join(shop.repository, name), "utf8").includes("duration")
  ).length

/** Each changes something, in this order. */
const changing = [
  "backup daily",
  "tags add -r latest weekly",
  "distrust -r first",
  "verify",
  "restore copy",
  "forget -r first",
  "expire",
  "purge",
  "upgrade"
]

describe("what was done", () => {
  it("is done when its report cannot be printed, which is told on standard error", async () => {
    for (const command of changing) {
      const { code, err } = await bash(`rm -f copy; backy -b vm ${command} >/dev/full`, shop.folder)
      assert.strictEqual(code, 0, `${command}: ${err}`)
      assert.match(
        err,
        /^backy: all is done, but not all of the report could be printed: .*no space left on device \(ENOSPC\)\n$/,
        command
      )
    }
  })

  it("is done when standard output or error is closed, full, or a pipe that ended", async () => {
    for (const where of [">&-", "2>&-", "2>/dev/full", ">&- 2>&-", "| true", "2>&1 | true", "-v 2>/dev/full"]) {
      const before = complete()
      const line = `set -o pipefail; backy -b vm ${
        where.startsWith("-v") ? `-v backup daily ${where.slice(2)}` : `backup daily ${where}`
      }`
      assert.strictEqual((await bash(line, shop.folder)).code, 0, where)
      assert.strictEqual(complete(), before + 1, where)
    }
  })

  it("is done when a signal comes while it is being told", async () => {
    const before = complete()
    // nobody reads the pipe, and it is full: the report cannot be told
    const { code, err, out } = await bash(
      `mkfifo pipe; exec 3<>pipe; head -c 65536 /dev/zero >&3
      "${PROGRAM}" -b vm backup daily >&3 &
      for (( i = 0; i < 600; i++ )); do
        (( $(grep -l duration vm/*.rev | wc -l) > ${before} )) && break
        sleep 0.1
      done
      sleep 1; kill -TERM $!; wait $!; echo "code $?"`,
      shop.folder
    )
    assert.deepStrictEqual([code, out, err], [0, "code 0\n", "backy: interrupted, after all was done\n"])
    assert.strictEqual(complete(), before + 1)
  })

  it("is done when a signal comes as soon as it is, whatever the command", async () => {
    await ok(...shop.args("backup", "daily"))
    await bash("head -c 3M /dev/urandom >image.new; cp image.new $(sed -n 's/^ *filename: //p' vm/config)", shop.folder)
    await ok(...shop.args("backup", "daily"))
    const first = (await shop.ids())[0] ?? ""
    const signs: ReadonlyArray<readonly [command: string, sign: string]> = [
      ["tags set -f -r latest weekly,manual:x", "grep -q manual:x vm/*.rev"],
      ["distrust -r latest", "grep -q distrusted vm/*.rev"],
      ["verify", "! grep -q distrusted vm/*.rev"],
      [`forget -r ${first}`, `test ! -e vm/${first}.rev`],
      ["restore copy2", "test -e copy2"]
    ]
    for (const [command, sign] of signs) {
      const { err, out } = await bash(
        `rm -f full; mkfifo full; exec 3<>full; head -c 65536 /dev/zero >&3
        "${PROGRAM}" -b vm ${command} >&3 &
        for (( i = 0; i < 6000; i++ )); do { ${sign}; } && break; sleep 0.01; done
        kill -TERM $!; wait $!; echo "code $?"`,
        shop.folder
      )
      assert.deepStrictEqual([out, err], ["code 0\n", "backy: interrupted, after all was done\n"], command)
    }
  })

  it("stays a failure where it is one", async () => {
    assert.strictEqual((await bash("backy -b vm backup nope >/dev/full", shop.folder)).code, 1)
    for (const command of ["expire -n", "purge -n", "upgrade -n", "status", "find", "diff 0 0", "reports list"]) {
      assert.strictEqual((await bash(`backy -b vm ${command} >/dev/full`, shop.folder)).code, 1, command)
    }
    for (const command of ["restore -", "status", "diff 0 0"]) {
      const { code, err } = await bash(`backy -b vm ${command} >&-`, shop.folder)
      assert.strictEqual(code, 1, command)
      assert.match(err, /standard output: .*\(EBADF\)/, command)
    }
    await bash(`chunk=$(ls vm/chunks/*/*.zst | head -n 1); chmod u+w $chunk; printf x >$chunk`, shop.folder)
    assert.strictEqual((await bash("backy -b vm verify >/dev/full", shop.folder)).code, 1)
  })
})
