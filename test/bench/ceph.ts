/**
 * `npm run bench:ceph`: increments of an RBD image against a real cluster of one machine, which is brought up for it
 * (as root, on Debian) and taken down afterwards. The cluster has to share the processors with backy.
 */
import * as FS from "node:fs"
import { basename } from "node:path"
import { fileURLToPath } from "node:url"
import { hexOf } from "../../src/store/chunkFile.ts"
import { backyTool, PROGRAM } from "./backyTool.ts"
import { type CephMedians, judgeCeph } from "./cephGoals.ts"
import * as Goals from "./goals.ts"
import { noise } from "./machine.ts"
import * as Markdown from "./markdown.ts"
import { type Command, measure, type Measured, run, settle, warm } from "./measure.ts"
import * as MixedImage from "./mixedImage.ts"
import { type Part, say } from "./part.ts"
import { programsStarted } from "./programsStarted.ts"
import { median } from "./statistics.ts"

const SHARES = [0, 0.001, 0.01, 0.1]
const IMAGE = "rbd/backy-bench"

const script = (name: string): string => fileURLToPath(new URL(`../services/${name}`, import.meta.url))

/** The variables that the cluster is reached with. */
const bringUp = (folder: string): Record<string, string> => {
  const code = run({
    argv: [script("ceph-up"), folder],
    env: { CEPH_UP_PACKAGES: "qemu-utils qemu-block-extra" }
  })
  for (const [, keys = ""] of code.matchAll(/^unset (.*)$/gm)) {
    for (const key of keys.split(" ")) delete process.env[key]
  }
  return Object.fromEntries([...code.matchAll(/^export (\w+)=(.*)$/gm)].map(([, key = "", value = ""]) => [key, value]))
}

/** Ends the cluster in a folder, if one was brought up there. */
export const takeDown = (folder: string): void => {
  if (FS.existsSync(`${folder}/ceph`)) run({ argv: [script("ceph-down"), `${folder}/ceph`] })
}

const isExporting = (): boolean =>
  FS.readdirSync("/proc").some((process) => {
    try {
      return FS.readFileSync(`/proc/${process}/cmdline`, "latin1").includes("\0export-diff\0")
    } catch {
      // no process, or it has ended meanwhile
      return false
    }
  })

const chunksIn = (repository: string): number =>
  FS.existsSync(`${repository}/chunks`)
    ? FS.readdirSync(`${repository}/chunks`, { recursive: true, encoding: "utf8" })
      .filter((name) => hexOf(basename(name)) !== undefined).length
    : 0

/** Looks on while a repository's first backup is made; then says which share of the chunks was there before the export ended. */
const watch = (repository: string): () => number => {
  let before = 0
  const timer = setInterval(() => {
    if (isExporting()) before = chunksIn(repository)
  }, 100)
  return () => {
    clearInterval(timer)
    return before / chunksIn(repository)
  }
}

/** What one backup of the image took, and what the same took that does only one half of it. */
interface Turn {
  readonly what: string
  /** Which build. */
  readonly program: string
  readonly backup: Measured
  readonly exporting: Measured
  /** Of the diff, of the chunks written before and after compression. */
  readonly diffBytes: number
  readonly written: number
  readonly stored: number
}

export const ceph: Part = async ({ beside, folder, machine, runs, seed, size }) => {
  const programs = beside === undefined ? [PROGRAM] : [PROGRAM, beside]
  const blocks = Math.max(1, Math.round(2 * size / MixedImage.BLOCK))
  const image = `${folder}/image`
  say("generating")
  MixedImage.make(image, blocks, seed)
  say("bringing the cluster up")
  const env = bringUp(`${folder}/ceph`)
  const rbd = (...words: ReadonlyArray<string>): Command => ({ argv: ["rbd", ...words], env })
  const taken: Array<Turn> = []
  const storing: Array<Measured> = []
  /** The export of everything, compressed on its way into a file. */
  const piped: Array<Measured> = []
  const started = new Map<string, number>()
  /** Which share of the chunks was stored before the export of everything ended. */
  const early: Array<number> = []
  let snapshots = 0
  const snapshot = (): string => {
    const name = `bench-${snapshots++}`
    run(rbd("snap", "create", "--no-progress", `${IMAGE}@${name}`))
    return name
  }

  /** Rewrites whole objects. */
  const change = (share: number, turn: number): void => {
    if (share === 0) return
    const block = new Uint8Array(MixedImage.BLOCK)
    const words = MixedImage.someOf(blocks, share, seed + turn).flatMap((index, at) => {
      const file = `${folder}/block-${at}`
      MixedImage.fill(block, at % 3 === 0 ? "random" : at % 3 === 1 ? "text" : "binary", `${turn} ${index}`)
      FS.writeFileSync(file, block)
      return ["-c", `write -q -s ${file} ${index * MixedImage.BLOCK} ${MixedImage.BLOCK}`]
    })
    run({ argv: ["qemu-io", "-f", "raw", ...words, `rbd:${IMAGE}`], env })
  }

  for (let at = 0; at < runs; at++) {
    const repositoryOf = (program: string) => `${folder}/repository-${at}-${programs.indexOf(program)}`
    const backy = (program: string, ...words: ReadonlyArray<string>): Command => ({
      argv: [program, "-b", repositoryOf(program), ...words],
      env
    })
    run(rbd("import", "--no-progress", image, IMAGE))
    for (const program of programs) run(backy(program, "init", "ceph-rbd", IMAGE))
    // another one begins in each run
    const inTurn = at % 2 === 0 ? programs : programs.toReversed()
    let from: string | undefined
    const turn = async (what: string) => {
      const to = snapshot()
      const between = from === undefined ? [] : ["--whole-object", "--from-snap", from]
      const diff = ["export-diff", "--no-progress", ...between, `${IMAGE}@${to}`, "-"]
      const diffBytes = Number(
        run({ argv: ["bash", "-o", "pipefail", "-c", "rbd \"$@\" | wc -c", "bash", ...diff], env })
      )
      settle()
      const exporting = await measure(rbd(...diff))
      settle()
      if (from === undefined) {
        const words = [
          "bash",
          "-o",
          "pipefail",
          "-c",
          "rbd \"$@\" | zstd -q -1 -T2 >\"$0\"",
          `${folder}/piped`,
          ...diff
        ]
        piped.push(await measure({ argv: words, env }))
        FS.rmSync(`${folder}/piped`)
        settle()
      }
      for (const program of inTurn) {
        const seen = from === undefined && program === PROGRAM ? watch(repositoryOf(program)) : undefined
        const backup = await measure(backy(program, "backup", "daily"))
        if (seen !== undefined) early.push(seen())
        const stats = JSON.parse(run(backy(program, "status", "--json", "-r", "latest")))[0]?.stats ?? {}
        const { bytes_stored: stored, bytes_written: written } = stats
        taken.push({ what, program, backup, exporting, diffBytes, written, stored })
        say(`${what}: ${Markdown.seconds(backup.seconds)}; the diff alone ${Markdown.seconds(exporting.seconds)}`)
        settle()
      }
      from = to
    }
    await turn("everything")
    for (const [index, share] of SHARES.entries()) {
      change(share, at * 10 + index)
      await turn(share === 0 ? "nothing" : `${share * 100} %`)
    }
    for (const program of programs) {
      started.set(program, programsStarted(folder, backy(program, "backup", "daily")))
      FS.rmSync(repositoryOf(program), { recursive: true })
    }
    run(rbd("snap", "purge", "--no-progress", IMAGE))
    run(rbd("rm", "--no-progress", IMAGE))

    const base = `${folder}/file-${at}`
    FS.mkdirSync(base)
    const tool = backyTool(base, image)
    tool.begin()
    settle()
    warm([image])
    storing.push(await measure(tool.backup(1)))
    FS.rmSync(base, { recursive: true })
  }

  const medians = (program: string): CephMedians => {
    const of = (what: string, value: (turn: Turn) => number | undefined) =>
      median(taken.filter((turn) => turn.program === program && turn.what === what).map((turn) => value(turn) ?? NaN))
    return {
      reading: of("everything", ({ backup }) => backup.phases["reading"]),
      memory: of("everything", ({ backup }) => backup.memory),
      nothing: {
        seconds: of("nothing", ({ backup }) => backup.seconds),
        cpu: of("nothing", ({ backup }) => backup.cpu)
      },
      programs: started.get(program) ?? NaN
    }
  }
  const rows = programs.flatMap((program) =>
    ["everything", "nothing", ...SHARES.slice(1).map((share) => `${share * 100} %`)].map((what) => {
      const turns = taken.filter((turn) => turn.program === program && turn.what === what)
      const of = (value: (turn: Turn) => number | undefined) => median(turns.map((turn) => value(turn) ?? NaN))
      return {
        what: program === PROGRAM ? what : `${what}, the build beside`,
        seconds: of(({ backup }) => backup.seconds),
        reading: of(({ backup }) => backup.phases["reading"]),
        sampling: of(({ backup }) => backup.phases["verifying"]),
        exporting: of(({ exporting }) => exporting.seconds),
        memory: of(({ backup }) => backup.memory),
        cpu: of(({ backup }) => backup.cpu),
        diffBytes: of(({ diffBytes }) => diffBytes),
        written: of(({ written }) => written),
        stored: of(({ stored }) => stored)
      }
    })
  )
  const [full] = rows
  const alone = median(storing.map(({ phases }) => phases["reading"] ?? NaN))
  const [together, exporting] = [full?.reading ?? NaN, full?.exporting ?? NaN]
  return {
    title: `Ceph: an image of ${Markdown.bytes(blocks * MixedImage.BLOCK)}, medians of ${runs} runs`,
    markdown: [
      Markdown.table(
        [
          "changed",
          "backup",
          "of which the diff is read and stored",
          "of which samples are compared",
          "`rbd export-diff` alone",
          "diff",
          "chunks",
          "stored",
          "processor time",
          "peak memory"
        ],
        rows.map((row) => [
          row.what,
          ...[row.seconds, row.reading, row.sampling, row.exporting].map(Markdown.seconds),
          ...[row.diffBytes, row.written, row.stored].map(Markdown.bytes),
          Markdown.seconds(row.cpu),
          Markdown.bytes(row.memory)
        ])
      ),
      Goals.render(
        judgeCeph(
          medians(PROGRAM),
          median(piped.map(({ seconds }) => seconds)),
          beside === undefined ? undefined : medians(beside)
        )
      ),
      `Export and storing at the same time, of everything: ${Markdown.seconds(together)}. The export alone takes ` +
      `${Markdown.seconds(exporting)}, storing the same from a file ${Markdown.seconds(alone)}, one after the other ` +
      `${Markdown.seconds(exporting + alone)}. Before the export had ended, ${Markdown.percent(median(early))} of ` +
      "the chunks were stored; the rest of the time both want the same processors, and so does the cluster.",
      noise(machine, taken.map(({ exporting }) => exporting.foreign)) +
      " (The cluster's own work counts as that of others here.)"
    ].join("\n\n"),
    data: { rows, storing: alone }
  }
}
