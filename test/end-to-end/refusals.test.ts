/** What the built program says of names and settings that it cannot use: at once, truly, in one sentence. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { appendFileSync, chmodSync, cpSync, existsSync } from "node:fs"
import { join } from "node:path"
import * as NoRoom from "../../src/domain/noRoom.ts"
import { bash, fails, ok, PROGRAM, run, workshop } from "./program.ts"

let shop: Awaited<ReturnType<typeof workshop>>
beforeAll(async () => {
  shop = await workshop(Buffer.alloc(1024, "an image"))
  await ok(...shop.args("backup", "daily"))
})
afterAll(() => shop.remove())

describe("refused is", () => {
  it("a log that is a pipe which nobody reads", async () => {
    const pipe = join(shop.folder, "log")
    execFileSync("mkfifo", [pipe])
    assert.strictEqual(
      await fails(1, ...shop.args("-l", pipe, "status")),
      `backy: cannot open ${pipe}: it is a socket, or a pipe that nobody reads (ENXIO)`
    )
    const read = await bash(`cat log >read & backy -b vm -l log expire && wait && cat read`, shop.folder)
    assert.strictEqual(read.code, 0, read.err)
  })

  it("a backup below free-space-floor, of which the scheduler is told by the pipe that it gave", async () => {
    const repository = join(shop.folder, "floor")
    cpSync(shop.repository, repository, { recursive: true })
    const config = join(repository, "config")
    chmodSync(config, 0o640)
    appendFileSync(config, "settings: {free-space-floor: 99%}\n")
    const { code, err, out } = await bash(
      `exec 4>&1; BACKY_PROGRESS_FD=3 backy -b floor backup daily 3>&1 >/dev/null | cat >&4; exit \${PIPESTATUS[0]}`,
      shop.folder
    )
    assert.deepStrictEqual([code, out], [1, NoRoom.line(false) + "\n"], err)
    assert.match(err, /^backy: no backup was begun: /)
  })

  it("a name that is not UTF-8, which Node would read with a loss", async () => {
    const name = "\"$(printf 'b\\344.img')\""
    const said = await bash(`cp vm.img ${name}; backy -b q init file "$PWD"/${name}`, shop.folder)
    assert.strictEqual(said.code, 2)
    assert.strictEqual(
      said.err,
      `backy: "${shop.folder}/b\\xe4.img" is not UTF-8; backy can only use names that are: rename it, or reach it by a link\n`
    )
    assert.isFalse(existsSync(join(shop.folder, "q")))
    const inside = await bash(`mkdir ${name}.d; cd ${name}.d && backy status`, shop.folder)
    assert.strictEqual(inside.code, 2)
    assert.match(inside.err, /^backy: the name of the current directory, ".*b\\xe4\.img\.d", is not UTF-8; .*\n$/)
    // the character that stands for what cannot be read is one like any other
    const meant = await bash("cp vm.img $'\\uFFFD.img'; backy -b q init file $'\\uFFFD.img'", shop.folder)
    assert.deepStrictEqual([meant.code, meant.err], [0, ""])
  })

  it("a line break in the value of -b or -l", async () => {
    assert.strictEqual(await fails(2, "-b", "a\nb", "status"), "backy: the value of option -b has a line break in it")
    assert.strictEqual(await fails(2, "-l", "a\rb", "status"), "backy: the value of option -l has a line break in it")
  })

  for (const value of ["0", "-1", "1.5", "many", "257"]) {
    it(`BACKY_WORKERS=${value}`, async () => {
      const said = await run(PROGRAM, shop.args("verify"), { env: { BACKY_WORKERS: value } })
      assert.deepStrictEqual(said, {
        code: 2,
        out: "",
        err: `backy: BACKY_WORKERS must be a whole number from 1 to 256, not "${value}"\n`
      })
    })
  }
})
