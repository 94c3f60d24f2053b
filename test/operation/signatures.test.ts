/**
 * The signatures of the public operations. What each succeeds with, fails with and needs is written down here once more;
 * the compiler compares (`tsc` reads this file). The test compares the doc comments with the error types.
 */
import type { FileSystem } from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Revision } from "../../src/domain/Revision.ts"
import type { RevisionId } from "../../src/domain/RevisionId.ts"
import type { Listener } from "../../src/nbd/Listener.ts"
import type * as Backup from "../../src/operation/backup.ts"
import type * as Diff from "../../src/operation/diff.ts"
import type * as Distrust from "../../src/operation/distrust.ts"
import type * as Expire from "../../src/operation/expire.ts"
import type * as Find from "../../src/operation/find.ts"
import type * as Forget from "../../src/operation/forget.ts"
import type * as Init from "../../src/operation/init.ts"
import type * as Serve from "../../src/operation/nbd/serve.ts"
import type { Output } from "../../src/operation/Output.ts"
import type * as Purge from "../../src/operation/purge.ts"
import type * as Reports from "../../src/operation/reports.ts"
import type * as Restore from "../../src/operation/restore.ts"
import type * as RestoreImage from "../../src/operation/restoreImage.ts"
import type * as Select from "../../src/operation/select.ts"
import type * as Status from "../../src/operation/status.ts"
import type * as Tags from "../../src/operation/tags.ts"
import type * as Upgrade from "../../src/operation/upgrade.ts"
import type * as Verify from "../../src/operation/verify.ts"
import type { BlockFile } from "../../src/platform/BlockFile.ts"
import type { Devices } from "../../src/platform/Devices.ts"
import type { FileLock } from "../../src/platform/FileLock.ts"
import type { Rbd } from "../../src/platform/Rbd.ts"
import type { Report } from "../../src/repository/Quarantine.ts"
import type { Repository } from "../../src/repository/Repository.ts"
import type { Source } from "../../src/source/Source.ts"
import type { Blocks } from "../../src/store/Blocks.ts"
import type { ChunkStore } from "../../src/store/ChunkStore.ts"

/** True for two types that are the same, not only assignable to each other. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** The names of errors: two classes of one shape would be one type to the compiler. */
type Names<E> = E extends { readonly _tag: infer Tag } ? Tag : E

type Pinned<
  Operation extends (...input: never) => Effect.Effect<unknown, unknown, unknown>,
  Success,
  Failure,
  FailureNames,
  Services
> = [
  Same<Effect.Effect.Success<ReturnType<Operation>>, Success>,
  Same<Effect.Effect.Error<ReturnType<Operation>>, Failure>,
  Same<Names<Effect.Effect.Error<ReturnType<Operation>>>, FailureNames>,
  Same<Effect.Effect.Context<ReturnType<Operation>>, Services>
]

type Selecting = "IoError" | "RepositoryMissing" | "SpecFailed" | "SpecInvalid"
type Revisions = ReadonlyArray<Revision>
type Restoring =
  | Selecting
  | "LockHeld"
  | "MapUnusable"
  | "NotOneRevision"
  | "OutputClosed"
  | "RestoreIncomplete"
  | "RevisionIncomplete"
  | "TargetRefused"

/** Every public operation. What does not compile here is a change of a signature: CHANGELOG.md tells of it. */
export const signatures: {
  readonly backup: Pinned<
    typeof Backup.backup,
    Backup.BackupReport,
    Backup.BackupError,
    | "FloorReached"
    | "IoError"
    | "LockHeld"
    | "RepositoryMissing"
    | "SourceChanged"
    | "SourceLostContent"
    | "SourceNotReady"
    | "SourceShrank"
    | "SpaceLacking"
    | "TagsUnknown"
    | "VerificationFailed"
    | "VerificationTooSlow",
    BlockFile | Blocks | ChunkStore | FileLock | FileSystem | Repository | Source
  >
  readonly deleteReport: Pinned<
    typeof Reports.deleteReport,
    void,
    Reports.DeleteReportError,
    "IoError" | "LockHeld" | "ReportUnusable" | "RepositoryMissing",
    BlockFile | FileLock | FileSystem | Repository
  >
  readonly diff: Pinned<
    typeof Diff.diff,
    Diff.DiffReport,
    Diff.DiffError,
    Selecting | "MapUnusable" | "NotOneRevision",
    Repository
  >
  readonly distrust: Pinned<
    typeof Distrust.distrust,
    Revisions,
    Distrust.DistrustError,
    Selecting | "LockHeld",
    FileLock | Repository
  >
  readonly expire: Pinned<
    typeof Expire.expire,
    Expire.ExpireReport,
    Expire.ExpireError,
    "IoError" | "LockHeld" | "RepositoryMissing",
    FileLock | Repository
  >
  readonly find: Pinned<
    typeof Find.find,
    ReadonlyArray<Find.Found>,
    Find.FindError,
    Selecting,
    BlockFile | Repository
  >
  readonly forget: Pinned<
    typeof Forget.forget,
    ReadonlyArray<RevisionId>,
    Forget.ForgetError,
    Selecting | "LockHeld" | "MarksLoss" | "NewestTrusted" | "NoTrustedLeft",
    FileLock | Repository
  >
  readonly init: Pinned<
    typeof Init.init,
    Init.InitReport,
    Init.InitError,
    "IoError" | "RepositoryExists",
    BlockFile | FileSystem | Repository
  >
  readonly listReports: Pinned<
    typeof Reports.listReports,
    ReadonlyArray<Reports.ListedReport>,
    Reports.ListReportsError,
    "IoError" | "RepositoryMissing",
    BlockFile | FileSystem | Repository
  >
  readonly purge: Pinned<
    typeof Purge.purge,
    Purge.PurgeReport,
    Purge.PurgeError,
    "IoError" | "LockHeld" | "PurgeBlocked" | "RepositoryMissing",
    BlockFile | ChunkStore | FileLock | FileSystem | Repository
  >
  readonly restore: Pinned<
    typeof Restore.restore,
    Restore.RestoreReport,
    Restore.RestoreError,
    Restoring,
    BlockFile | Blocks | Devices | FileLock | FileSystem | Output | Repository
  >
  readonly restoreImage: Pinned<
    typeof RestoreImage.restoreImage,
    Restore.RestoreReport,
    RestoreImage.RestoreImageError,
    Restoring | "RbdError",
    BlockFile | Blocks | Devices | FileLock | FileSystem | Rbd | Repository
  >
  readonly select: Pinned<typeof Select.select, Revisions, Select.SelectError, Selecting, Repository>
  readonly selectCertain: Pinned<typeof Select.selectCertain, Revisions, Select.SelectError, Selecting, Repository>
  readonly selectOne: Pinned<
    typeof Select.selectOne,
    Revision,
    Select.SelectOneError,
    Selecting | "NotOneRevision",
    Repository
  >
  readonly serve: Pinned<
    typeof Serve.serve,
    Serve.Serving,
    Serve.ServeError,
    | Selecting
    | "ListenFailed"
    | "LockHeld"
    | "MapUnusable"
    | "NotOneRevision"
    | "OverlayRefused"
    | "RevisionIncomplete",
    BlockFile | Blocks | Devices | FileLock | FileSystem | Listener | Repository | Scope.Scope
  >
  readonly showReport: Pinned<
    typeof Reports.showReport,
    Report,
    Reports.ShowReportError,
    "IoError" | "ReportUnusable" | "RepositoryMissing",
    BlockFile | Repository
  >
  readonly status: Pinned<typeof Status.status, Status.StatusReport, Status.StatusError, Selecting, Repository>
  readonly tags: Pinned<
    typeof Tags.tags,
    Revisions,
    Tags.TagsError,
    Selecting | "LockHeld" | "TagsUnknown",
    FileLock | Repository
  >
  readonly upgrade: Pinned<
    typeof Upgrade.upgrade,
    Upgrade.UpgradeReport,
    Upgrade.UpgradeError,
    "IoError" | "LockHeld" | "RepositoryMissing" | "SpaceLacking" | "UpgradeIncomplete",
    BlockFile | Blocks | ChunkStore | FileLock | FileSystem | Repository
  >
  readonly verify: Pinned<
    typeof Verify.verify,
    Verify.VerifyReport,
    Verify.VerifyError,
    Selecting | "DamageFound" | "LockHeld" | "ResultNotRecorded" | "RevisionIncomplete",
    BlockFile | Blocks | ChunkStore | FileLock | FileSystem | Repository
  >
} = {
  backup: [true, true, true, true],
  deleteReport: [true, true, true, true],
  diff: [true, true, true, true],
  distrust: [true, true, true, true],
  expire: [true, true, true, true],
  find: [true, true, true, true],
  forget: [true, true, true, true],
  init: [true, true, true, true],
  listReports: [true, true, true, true],
  purge: [true, true, true, true],
  restore: [true, true, true, true],
  restoreImage: [true, true, true, true],
  select: [true, true, true, true],
  selectCertain: [true, true, true, true],
  selectOne: [true, true, true, true],
  serve: [true, true, true, true],
  showReport: [true, true, true, true],
  status: [true, true, true, true],
  tags: [true, true, true, true],
  upgrade: [true, true, true, true],
  verify: [true, true, true, true]
}

const folder = fileURLToPath(new URL("../../src/operation", import.meta.url))
const sources = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(`${folder}/${name}`, "utf8"))

/** The members of every exported union of errors, as they are written. */
const unions = new Map(
  sources.flatMap((text) =>
    [...text.matchAll(/^export type (\w+Error) =\s+([\w\s.|]+?)(?=\n\n|\n\/\*\*)/gm)].map((
      [_, name = "", members = ""]
    ): [string, ReadonlyArray<string>] => [
      name,
      members.split("|").map((member) => member.trim().split(".").at(-1) ?? "").filter((member) => member !== "")
    ])
  )
)

/** A union's errors, one by one: unions may have unions as members. */
const errorsOf = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  [
    ...new Set(names.flatMap((name): ReadonlyArray<string> => {
      const members = unions.get(name)
      return members === undefined ? [name] : errorsOf(members)
    }))
  ].sort()

/** What the doc comment of an operation says of errors, and the name of the union that its signature has. */
const documented = (operation: string) => {
  // other modules of this folder may have a function of that name, but no operation
  for (const text of sources.filter((text) => /^export type \w+Error =/m.test(text))) {
    const at = text.search(new RegExp(`^export const ${operation} = `, "m"))
    if (at < 0) continue
    const comment = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n$/.exec(text.slice(0, at))?.[0] ?? ""
    const sentence = /[Ff]ails with (`[\s\S]*)/.exec(comment.replaceAll(/\n \* ?/g, " "))?.[1] ?? ""
    const said = [...sentence.matchAll(/`([A-Z]\w+)`/g)].map(([_, name = ""]) => name)
    const signature = /,\s*(\w+Error),/.exec(text.slice(at))?.[1] ?? ""
    return { said, signature }
  }
  return assert.fail(`there is no operation ${operation}`)
}

describe("the doc comment of", () => {
  for (const operation of Object.keys(signatures)) {
    it(`${operation} lists the errors of its type`, () => {
      const { said, signature } = documented(operation)
      assert.isTrue(unions.has(signature), `${signature} is a union of this folder`)
      assert.deepStrictEqual(errorsOf(said), errorsOf([signature]))
    })
  }
})
