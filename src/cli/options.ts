/** Options that several commands have, each in one wording. */
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { resolve } from "node:path"
import * as LocalInstant from "../domain/LocalInstant.ts"
import { load } from "./load.ts"

const invalid = (text: string) => ValidationError.invalidValue(HelpDoc.p(text))

const spec = Options.text("revision").pipe(
  Options.withAlias("r"),
  Options.withPseudoName("SPEC")
)

const SPECS = "an id, a number (0 is the newest), latest, first, all, a tag, a..b, …"

/** `-r SPEC` with what is taken without it. */
export const revisions = (fallback: string) =>
  spec.pipe(
    Options.withDescription(`Which revisions: ${SPECS} Default: ${fallback}.`),
    Options.withDefault(fallback)
  )

/** `-r SPEC`, which must be given. */
export const revisionsRequired = spec.pipe(Options.withDescription(`Which revisions: ${SPECS}`))

/** `-r SPEC`, which may be left out. */
export const revisionsOptional = spec.pipe(
  Options.withDescription(`Only these revisions: ${SPECS}`),
  Options.optional,
  Options.map(Option.getOrUndefined)
)

/** `--wait DURATION`: how long to wait for another process's lock. Without it not at all. */
export const wait = Options.text("wait").pipe(
  Options.withPseudoName("DURATION"),
  Options.withDescription(
    "Wait as long as this, such as 30s or 10m, for another backy to be done. Default: not at all."
  ),
  Options.mapEffect((text) =>
    Effect.flatMap(load(() => import("../domain/Interval.ts")), (Interval) => {
      const span = text === "0" ? Duration.zero : Interval.parse(text)
      return span === undefined
        ? Effect.fail(invalid(`--wait: expected a duration such as 30s, 10m or 1h, got "${text}"`))
        : Effect.succeed(span)
    })
  ),
  Options.withDefault(Duration.zero)
)

/** `-f`, with what it permits. */
export const force = (permits: string) =>
  Options.boolean("force").pipe(Options.withAlias("f"), Options.withDescription(permits))

/** `-n`: tell, do not do. */
export const dryRun = Options.boolean("dry-run").pipe(
  Options.withAlias("n"),
  Options.withDescription("Only say what would be done, and why.")
)

/** `-c CONFIG`: the daemon's config file, as an absolute path. */
export const config = Options.text("config").pipe(
  Options.withAlias("c"),
  Options.withPseudoName("CONFIG"),
  Options.withDescription("The scheduler's config file. Default: /etc/backy.conf."),
  Options.withDefault("/etc/backy.conf"),
  Options.map((path) => resolve(path))
)

/** `--json`. */
export const json = Options.boolean("json").pipe(Options.withDescription("Print JSON, for scripts."))

/** A date or instant of which everything is meant: a day is all of that day. Without a zone it is local. */
export const instant = (name: string, alias: string, description: string) =>
  Options.text(name).pipe(
    Options.withAlias(alias),
    Options.withPseudoName("DATE"),
    Options.withDescription(description),
    Options.mapEffect((text) => {
      LocalInstant.PATTERN.lastIndex = 0
      const match = LocalInstant.PATTERN.exec(text)
      const date = match === null || match[0] !== text ? undefined : LocalInstant.fromMatch(match)
      return date === undefined
        ? Effect.fail(invalid(`--${name}: expected a date such as 2026-11-23 or "2026-11-23 14:00", got "${text}"`))
        : Effect.succeed(LocalInstant.stretch(date, DateTime.zoneMakeLocal()))
    }),
    Options.optional,
    Options.map(Option.getOrUndefined)
  )
