/**
 * What the pages say is so: every command in a `console` block is run, in the order of the page, every config is read,
 * and every link leads somewhere. Commands end with 0 unless `# ends with N` stands behind them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { spawnSync } from "node:child_process"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { onTestFinished } from "vitest"
import type { ConfigInvalid } from "../../src/config/ConfigError.ts"
import * as DaemonConfig from "../../src/config/DaemonConfig.ts"
import * as RepositoryConfig from "../../src/config/RepositoryConfig.ts"
import { MIB, noise, PROGRAM, run } from "../end-to-end/program.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const read = (page: string): string => FS.readFileSync(join(root, page), "utf8")
const pages = [".", "docs"].flatMap((folder) =>
  FS.readdirSync(join(root, folder)).filter((name) => name.endsWith(".md")).map((name) => join(folder, name))
)

/** The fenced blocks of a language. */
const blocks = (page: string, language: string): ReadonlyArray<string> =>
  [...read(page).matchAll(/^```(\w*)\n(.*?)^```$/gms)].flatMap(([_, name, text]) =>
    name === language ? [text ?? ""] : []
  )

const commandsOf = (page: string): ReadonlyArray<{ readonly line: string; readonly code: number }> =>
  blocks(page, "console").join("").split("\n").filter((line) => line.startsWith("$ ")).map((line) => ({
    line: line.slice(2),
    code: Number(/ # ends with (\d+)$/.exec(line)?.[1] ?? 0)
  }))

/** A machine as the pages take it for granted, in a folder: paths of the pages are moved below it. */
const makeMachine = () => {
  const place = FS.mkdtempSync(join(tmpdir(), "backy-pages-"))
  onTestFinished(() => FS.rmSync(place, { recursive: true, force: true }))
  const etc = ["systemd/system", "sysusers.d", "tmpfiles.d", "logrotate.d"].map((name) => `etc/${name}`)
  for (const folder of ["srv/backy", "var/lib/vm", "mnt", "opt", "usr/local/bin", "stubs", ...etc]) {
    FS.mkdirSync(join(place, folder), { recursive: true })
  }
  FS.symlinkSync(root, join(place, "opt/backy"))
  FS.symlinkSync(PROGRAM, join(place, "stubs/backy"))
  const stub = (name: string, text: string) =>
    FS.writeFileSync(join(place, "stubs", name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  // what would change the machine that the tests run on
  for (const name of ["systemctl", "systemd-sysusers", "systemd-tmpfiles"]) stub(name, "exit 0")
  if (spawnSync("rsync", ["--version"]).error !== undefined && process.env["BACKY_TEST_ROOT"] !== "1") {
    stub("rsync", "for source; do target=$previous previous=$source; done; cp -a \"$target.\" \"$previous\"")
  }
  const recipe = blocks("docs/format.md", "sh")[0] ?? ""
  FS.writeFileSync(join(place, "restore.sh"), recipe)
  return {
    image: join(place, "var/lib/vm/web01.img"),
    repository: join(place, "srv/backy/web01"),
    run: (line: string) =>
      run("bash", [
        "-o",
        "pipefail",
        "-c",
        line.replaceAll(/(^|[\s"'=])\/(?=(?:srv|var|mnt|opt|etc|usr\/local)\/)/g, `$1${place}/`)
      ], { cwd: place, env: { PATH: `${join(place, "stubs")}:${process.env["PATH"] ?? ""}` } })
  }
}

describe("the commands of", () => {
  for (const page of pages.filter((page) => commandsOf(page).length > 0)) {
    it(`${page} end as it says`, async () => {
      const machine = makeMachine()
      const image = noise(11 * MIB)
      FS.writeFileSync(machine.image, image)
      const commands = commandsOf(page)
      if (!commands.some(({ line }) => / init /.test(line))) {
        // a history of two, and the image as it was at first
        const backy = `backy -b ${machine.repository}`
        const prepare = async (line: string) => assert.strictEqual((await machine.run(line)).code, 0, line)
        await prepare(`${backy} init file ${machine.image} && ${backy} backup daily`)
        FS.writeFileSync(machine.image, Buffer.concat([image.subarray(0, 8 * MIB), Buffer.alloc(3 * MIB)]))
        await prepare(`${backy} backup daily,weekly`)
      }
      for (const { code, line } of commands) {
        const result = await machine.run(line)
        assert.strictEqual(result.code, code, `$ ${line}\n${result.out}${result.err}`)
      }
    })
  }
})

describe("the configs of", () => {
  for (const page of pages.filter((page) => blocks(page, "yaml").length > 0)) {
    it(`${page} are read`, () => {
      for (const text of blocks(page, "yaml")) {
        const decoded: Either.Either<unknown, ConfigInvalid> = /^(global|schedules|jobs):/m.test(text)
          ? DaemonConfig.decode(text, { file: page })
          : /^source:/m.test(text)
          ? RepositoryConfig.decode(text, { file: page })
          : Either.void
        assert.isTrue(Either.isRight(decoded), Either.isLeft(decoded) ? decoded.left.message : "")
      }
    })
  }
})

describe("the links of", () => {
  const anchorsOf = (page: string): ReadonlySet<string> =>
    new Set(
      [...read(page).replaceAll(/^```.*?^```$/gms, "").matchAll(/^#+ (.*)$/gm)].map(([_, title]) =>
        (title ?? "").toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-")
      )
    )

  for (const page of pages) {
    it(`${page} lead somewhere`, () => {
      for (const [_, link] of read(page).replaceAll(/^```.*?^```$/gms, "").matchAll(/\]\(([^)\s]+)\)/g)) {
        if (link === undefined || /^https?:/.test(link)) continue
        const [path = "", anchor] = link.split("#")
        const target = path === "" ? page : relative(root, join(root, dirname(page), path))
        assert.isTrue(FS.existsSync(join(root, target)), `${link}: there is no ${target}`)
        if (anchor !== undefined) assert.include([...anchorsOf(target)], anchor, link)
      }
    })
  }
})
