/** What each method of the service gives and fails with, written down once more: `tsc` compares. It needs nothing. */
import { assert, describe, it } from "@effect/vitest"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
import { readFileSync } from "node:fs"
import type { Revision } from "../../src/domain/Revision.ts"
import type { RevisionId } from "../../src/domain/RevisionId.ts"
import type * as Library from "../../src/library/Backy.ts"
import type { NodeTooOld } from "../../src/library/BackyError.ts"
import type * as Jobs from "../../src/library/Jobs.ts"

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
type Names<E> = E extends { readonly _tag: infer Tag } ? Tag : E

type Pinned<Result, Success, Failure, FailureNames> = Result extends
  Effect.Effect<infer A, infer E, infer R> | Stream.Stream<infer A, infer E, infer R>
  ? [Same<A, Success>, Same<E, Failure>, Same<Names<E>, FailureNames>, Same<R, never>]
  : false

const yes: [true, true, true, true] = [true, true, true, true]

type Service = Library.Service
type Selecting = "IoError" | "RepositoryMissing" | "SpecFailed" | "SpecInvalid"
type Config = "ConfigInvalid" | "ConfigMissing" | "IoError"
type Restoring = Selecting | "LockHeld" | "MapUnusable" | "NotOneRevision" | "RestoreIncomplete" | "RevisionIncomplete"
type Revisions = ReadonlyArray<Revision>
type Tagging = Pinned<
  ReturnType<Service["tags"]["set"]>,
  Revisions,
  Library.TagError,
  Selecting | Config | "LockHeld" | "TagInvalid" | "TagsUnknown"
>

/** Every method. What does not compile here is a change of a signature: CHANGELOG.md tells of it. */
export const methods: {
  readonly backup: Pinned<
    ReturnType<Service["backup"]>,
    Library.BackupReport,
    Library.BackupError,
    | Config
    | "FloorReached"
    | "LockHeld"
    | "RepositoryMissing"
    | "SourceChanged"
    | "SourceLostContent"
    | "SourceNotReady"
    | "SourceShrank"
    | "SourceUnsupported"
    | "SpaceLacking"
    | "TagInvalid"
    | "TagsUnknown"
    | "VerificationFailed"
    | "VerificationTooSlow"
  >
  readonly config: Pinned<Service["config"], Effect.Effect.Success<Service["config"]>, Library.ConfigError, Config>
  readonly diff: Pinned<
    ReturnType<Service["diff"]>,
    Library.DiffReport,
    Library.DiffError,
    Selecting | "MapUnusable" | "NotOneRevision"
  >
  readonly distrust: Pinned<ReturnType<Service["distrust"]>, Revisions, Library.DistrustError, Selecting | "LockHeld">
  readonly expire: Pinned<
    ReturnType<Service["expire"]>,
    Library.ExpireReport,
    Library.ExpireError,
    Config | "LockHeld" | "RepositoryMissing"
  >
  readonly forget: Pinned<
    ReturnType<Service["forget"]>,
    ReadonlyArray<RevisionId>,
    Library.ForgetError,
    Selecting | "LockHeld" | "MarksLoss" | "NewestTrusted" | "NoTrustedLeft"
  >
  readonly init: Pinned<
    ReturnType<Service["init"]>,
    Library.InitReport,
    Library.InitError,
    "IoError" | "RepositoryExists"
  >
  readonly purge: Pinned<
    ReturnType<Service["purge"]>,
    Library.PurgeReport,
    Library.PurgeError,
    "IoError" | "LockHeld" | "PurgeBlocked" | "RepositoryMissing"
  >
  readonly restoreStream: Pinned<
    ReturnType<Service["restoreStream"]>,
    Uint8Array,
    Library.RestoreStreamError,
    Restoring
  >
  readonly restoreTo: Pinned<
    ReturnType<Service["restoreTo"]>,
    Library.RestoreReport,
    Library.RestoreToError,
    Restoring | "TargetRefused"
  >
  readonly status: Pinned<ReturnType<Service["status"]>, Library.StatusReport, Library.StatusError, Selecting>
  readonly set: Tagging
  readonly add: Tagging
  readonly remove: Pinned<
    ReturnType<Service["tags"]["remove"]>,
    Revisions,
    Library.UntagError,
    Selecting | "LockHeld"
  >
  readonly verify: Pinned<
    ReturnType<Service["verify"]>,
    Library.VerifyReport,
    Library.VerifyError,
    Selecting | "DamageFound" | "LockHeld" | "ResultNotRecorded" | "RevisionIncomplete"
  >
} = {
  backup: yes,
  config: yes,
  diff: yes,
  distrust: yes,
  expire: yes,
  forget: yes,
  init: yes,
  purge: yes,
  restoreStream: yes,
  restoreTo: yes,
  status: yes,
  set: yes,
  add: yes,
  remove: yes,
  verify: yes
}

/** The layers are whole: they need nothing. */
export const layers: [
  Same<ReturnType<typeof Library.Backy.layer>, Layer.Layer<Library.Backy, NodeTooOld>>,
  Same<ReturnType<typeof Library.Backy.layerMemory>, Layer.Layer<Library.Backy, NodeTooOld>>,
  Same<ReturnType<typeof Jobs.Jobs.layer>, Layer.Layer<Jobs.Jobs>>
] = [true, true, true]

const text = readFileSync(new URL("../../src/library/Service.ts", import.meta.url), "utf8")
const service = text.slice(text.indexOf("export interface Service {"))

/** The members of an alias of this file: the only one whose name is not in the signature itself. */
const written: Readonly<Record<string, string>> = { set: "TagError", add: "TagError" }

describe("the doc comment of", () => {
  for (const method of Object.keys(methods)) {
    it(`${method} names its error type, or each error`, () => {
      const [, comment = "", signature = ""] =
        new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s+readonly ${method}: ((?:(?!/\\*\\*\\n)[^])*)`).exec(service) ?? []
      const said = [
        ...(/Fails with (`[^.]*)/.exec(comment.replaceAll(/\n\s+\* ?/g, " "))?.[1] ?? "").matchAll(/`(\w+)`/g)
      ]
        .map(([_, name = ""]) => name)
      const type = written[method] ?? /(?:Effect\.Effect|Stream\.Stream)<[^=]*?, (\w+Error)>/.exec(signature)?.[1] ?? ""
      assert.match(type, /Error$/)
      const members: Readonly<Record<string, ReadonlyArray<string>>> = {
        ConfigError: ["ConfigInvalid", "ConfigMissing", "IoError"],
        InitError: ["IoError", "RepositoryExists"]
      }
      assert.deepStrictEqual(said.sort(), said.length === 1 ? [type] : members[type])
    })
  }
})
