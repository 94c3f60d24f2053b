/**
 * The same work for backy, for what else there is, and for programs that show what the machine can do, on one image.
 * They take turns within each run, so that whatever else the machine does hits all of them.
 */
import * as FS from "node:fs"
import { backyTool } from "./backyTool.ts"
import { borgTool } from "./borgTool.ts"
import * as Goals from "./goals.ts"
import { limits } from "./limits.ts"
import { noise, SPREAD } from "./machine.ts"
import * as Markdown from "./markdown.ts"
import {
  type Command,
  isInstalled,
  measure,
  type Measured,
  run as runCommand,
  settle,
  sizeOf,
  warm
} from "./measure.ts"
import * as MixedImage from "./mixedImage.ts"
import { type Part, say } from "./part.ts"
import { resticTool } from "./resticTool.ts"
import { median, spread } from "./statistics.ts"
import { type Operation, operations, titles, type Tool } from "./tool.ts"

/** The shares of the image that change. */
const TOUCHED = 0.01
const REWRITTEN = 0.05

interface Taken {
  readonly operation: Operation
  readonly name: string
  readonly measured: Measured
}

/** One after the other. */
const sum = (first: Measured, second: Measured): Measured => ({
  ...first,
  seconds: first.seconds + second.seconds,
  cpu: first.cpu === undefined || second.cpu === undefined ? undefined : first.cpu + second.cpu
})

interface Stored {
  readonly name: string
  readonly first: number
  readonly all: number
}

/** The part that `npm run bench` is named after. */
export const mixed: Part = async ({ folder, machine, runs, seed, size }) => {
  const blocks = Math.max(1, Math.round(size / MixedImage.BLOCK))
  const pristine = `${folder}/pristine`
  const image = `${folder}/image`
  say(`generating ${Markdown.bytes(blocks * MixedImage.BLOCK)}`)
  MixedImage.make(pristine, blocks, seed)
  const bounds = limits(folder, image).filter(({ program }) => isInstalled(program))
  const taken: Array<Taken> = []
  const stored: Array<Stored> = []
  const troubles: Array<string> = []

  const one = async (
    operation: Operation,
    name: string,
    command: Command,
    reads: ReadonlyArray<string>,
    target?: string
  ) => {
    settle()
    warm(reads)
    try {
      const measured = await measure(command)
      taken.push({ operation, name, measured })
      say(`${titles[operation]}, ${name}: ${Markdown.seconds(measured.seconds)}`)
      if (target === undefined) return
      // most programs say that they are done while the file is in memory only
      const synced = await measure({ argv: ["sync", target] })
      taken.push({ operation: "durable", name, measured: sum(measured, synced) })
    } catch (error) {
      troubles.push(`${titles[operation]}, ${name}: ${error instanceof Error ? error.message : String(error)}`)
      say(troubles.at(-1)!)
    }
  }

  const restore = async (tool: Tool) => {
    const target = `${folder}/target`
    FS.rmSync(target, { recursive: true, force: true })
    FS.mkdirSync(target)
    const { command, path } = tool.restore(target)
    await one("restore", tool.name, command, [tool.repository], path)
    try {
      runCommand({ argv: ["cmp", path, image] })
    } catch {
      troubles.push(`${tool.name} did not restore what it was given`)
    }
    FS.rmSync(target, { recursive: true, force: true })
  }

  const perform = async (operation: Operation, tool: Tool, turn: number) => {
    switch (operation) {
      case "first":
      case "touched":
      case "rewritten":
      case "unchanged":
        return one(operation, tool.name, tool.backup(turn), [image, tool.repository])
      case "restore":
        return restore(tool)
      case "durable":
        // comes with the restore
        return
      case "stdout":
        return one(operation, tool.name, tool.stdout(), [tool.repository])
      case "verify":
        return one(operation, tool.name, tool.verify(), [tool.repository])
      case "purge":
        tool.forget()
        return one(operation, tool.name, tool.purge(), [tool.repository])
      case "status":
        return one(operation, tool.name, tool.status(), [tool.repository])
      case "help":
        return one(operation, tool.name, tool.help(), [])
    }
  }

  const change = (operation: Operation) => {
    if (operation === "touched") MixedImage.touch(image, blocks, TOUCHED, seed + 1)
    if (operation === "rewritten") MixedImage.rewrite(image, blocks, REWRITTEN, seed + 2)
    if (operation === "unchanged") {
      // a VM's disk is always newer than the last backup; who goes by the times alone would read nothing
      const now = new Date()
      FS.utimesSync(image, now, now)
    }
  }

  for (let run = 0; run < runs; run++) {
    say(`run ${run + 1} of ${runs}`)
    const base = `${folder}/run`
    FS.rmSync(base, { recursive: true, force: true })
    FS.mkdirSync(base)
    runCommand({ argv: ["cp", "--reflink=never", "--sparse=never", pristine, image] })
    const tools = [
      backyTool(base, image),
      ...(isInstalled("borg") ? [borgTool(base, image, "zstd,1"), borgTool(base, image, "lz4")] : []),
      ...(isInstalled("restic") ? [resticTool(base, image)] : [])
    ]
    for (const tool of tools) tool.begin()
    let turn = 0
    for (const operation of operations) {
      change(operation)
      if (["first", "touched", "rewritten", "unchanged"].includes(operation)) turn++
      // nobody is always the first
      for (let at = 0; at < tools.length; at++) await perform(operation, tools[(at + run) % tools.length]!, turn)
      for (const limit of bounds.filter(({ beside }) => beside === operation)) {
        FS.rmSync(`${folder}/limit.copy`, { force: true })
        await one(operation, limit.name, limit.command, [image, `${folder}/limit.zst`], limit.target)
      }
      if (operation === "first" && run === 0) {
        for (const { name, repository } of tools) stored.push({ name, first: sizeOf(repository), all: 0 })
      }
    }
    if (run === 0) tools.forEach(({ repository }, at) => stored[at] = { ...stored[at]!, all: sizeOf(repository) })
  }

  const names = stored.map(({ name }) => name)
  const of = (operation: Operation, name: string) =>
    taken.filter((one) => one.operation === operation && one.name === name).map(({ measured }) => measured)
  const middle = (values: ReadonlyArray<number | undefined>): number | undefined => {
    const known = values.filter((value) => value !== undefined)
    return known.length === 0 ? undefined : median(known)
  }
  const medians: Goals.Medians = {
    seconds: (operation, name) => middle(of(operation, name).map(({ seconds }) => seconds)),
    cpu: (operation, name) => middle(of(operation, name).map(({ cpu }) => cpu)),
    phase: (operation, phase) => middle(of(operation, "backy").map(({ phases }) => phases[phase])),
    memory: taken.filter(({ name }) => name === "backy").reduce<number | undefined>(
      (most, { measured }) => measured.memory === undefined ? most : Math.max(most ?? 0, measured.memory),
      undefined
    ),
    stored: (name) => stored.find((one) => one.name === name)?.first,
    peers: names.slice(1)
  }
  const time = (operation: Operation, name: string): string => {
    const measured = of(operation, name)
    if (measured.length === 0) return ""
    const apart = spread(measured.map(({ seconds }) => seconds))
    return Markdown.seconds(medians.seconds(operation, name)) +
      (apart > SPREAD ? ` ±${Markdown.percent(apart / 2)}` : "")
  }
  const goals = Goals.judge(medians)
  const bytes = blocks * MixedImage.BLOCK

  const sections = [
    Markdown.table(
      ["", ...names],
      [
        ...operations.map((operation) => [titles[operation], ...names.map((name) => time(operation, name))]),
        ["size after the first backup", ...stored.map(({ first }) => Markdown.bytes(first))],
        ["size at the end", ...stored.map(({ all }) => Markdown.bytes(all))]
      ]
    ),
    Goals.render(goals),
    "Phases of backy, seconds:\n\n" + Markdown.table(
      ["", "before", "reading and storing", "comparing, and the rest"],
      (["first", "touched", "rewritten", "unchanged"] as const).map((operation) => [
        titles[operation],
        ...["begin", "reading", "verifying"].map((phase) => Markdown.seconds(medians.phase(operation, phase)))
      ])
    ),
    "What the machine can do:\n\n" + Markdown.table(
      ["", "time", "of the image"],
      bounds.flatMap(({ beside, name, target }) => {
        const row = (operation: Operation, title: string) => {
          const seconds = medians.seconds(operation, name)
          const speed = seconds === undefined ? "" : `${Markdown.count(bytes / seconds / 1e6)} MB/s`
          return [title, time(operation, name), speed]
        }
        return [row(beside, name), ...target === undefined ? [] : [row("durable", `${name}, and \`sync\``)]]
      })
    ),
    "Processor time in seconds, and peak memory of one process:\n\n" + Markdown.table(
      ["", ...names],
      operations.map((operation) => [
        titles[operation],
        ...names.map((name) => {
          const cpu = medians.cpu(operation, name)
          const memory = middle(of(operation, name).map(({ memory }) => memory))
          return cpu === undefined ? "" : `${Markdown.seconds(cpu)}, ${Markdown.bytes(memory)}`
        })
      ])
    ),
    noise(machine, taken.map(({ measured }) => measured.foreign)) +
    ` ±: runs that lie more than ${Markdown.percent(SPREAD)} apart.`,
    ...troubles.map((trouble) => `**Failed:** ${trouble}`)
  ]
  return {
    title: `${Markdown.bytes(bytes)} of mixed content, medians of ${runs} runs`,
    markdown: sections.join("\n\n"),
    data: {
      size: bytes,
      seed,
      runs,
      taken: taken.map(({ measured: { output: _, ...measured }, ...of }) => ({ ...of, ...measured })),
      stored,
      goals,
      troubles
    }
  }
}
