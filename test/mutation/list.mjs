// @ts-check
/**
 * The ways in which the source is broken on purpose: each sync, each order, each lock, each exit code and each check of
 * a hash, one after the other. To add a place that must not be lost is to add an entry here.
 *
 * Two syncs have none, since nothing is lost without them: that of the repository when the folder of chunks is made (it
 * is synced again with what is stored there), and that between an upgraded map's taking its place and the old image's
 * removal (the map counts under either name, the old image under none). Nor has the hash of a sample that heals a chunk:
 * what is stored is named by its own hash, and the chunk is read and compared once more.
 */

/**
 * @typedef {object} Test
 * @property {ReadonlyArray<string>} args what the test runner is given
 * @property {string} [scenario] the only scenario that simulations prepare
 *
 * @typedef {object} Mutation
 * @property {string} name what is broken, for people
 * @property {string} file
 * @property {string} from a text that the file has
 * @property {string} to what is there instead
 * @property {ReadonlyArray<Test>} tests the likeliest first
 * @property {true} [built] the tests run the built program
 */

const simulation = (/** @type {string} */ file, /** @type {string} */ title, /** @type {string} */ scenario) => ({
  args: [`test/simulation/${file}.test.ts`, "-t", `${title} ${scenario}$`],
  scenario
})
/** A power loss at any point of an operation. */
const crash = (/** @type {string} */ scenario) => simulation("crash", "help in", scenario)
/** A power loss in the verify or backup that follows a kill. */
const second = (/** @type {string} */ follower, /** @type {string} */ scenario) =>
  simulation("crash", `in the next ${follower} after kill -9 in`, scenario)
/** Failing calls in an operation. */
const fault = (/** @type {string} */ scenario) => simulation("faults", "success in", scenario)
/** Tests of a file or folder, or those with a part of their name. */
const of = (/** @type {string} */ path, /** @type {ReadonlyArray<string>} */ ...[name]) => ({
  args: [`test/${path}`, ...name === undefined ? [] : ["-t", name]]
})
const locked = (/** @type {string} */ operation) => of("operation/locks", `says what ${operation} takes`)

/** @type {ReadonlyArray<Mutation>} */
const syncs = [
  {
    name: "chunks are not synced",
    file: "src/store/chunkFile.ts",
    from: "for (const chunk of pending) disk.datasync(chunk.descriptor)",
    to: "",
    tests: [crash("the first backup")]
  },
  {
    name: "chunks are renamed before they are synced",
    file: "src/store/chunkFile.ts",
    from: "for (const chunk of pending) disk.datasync(chunk.descriptor)",
    to: "for (const chunk of pending) disk.rename(chunk.temporary, pathOf(repository, chunk.hex))\n    " +
      "for (const chunk of pending) disk.datasync(chunk.descriptor)\n    return",
    tests: [of("store/Blocks"), crash("the first backup"), fault("the first backup")]
  },
  {
    name: "an error of syncing a chunk is not told",
    file: "src/store/chunkFile.ts",
    from: "for (const chunk of pending) disk.datasync(chunk.descriptor)",
    to: "for (const chunk of pending) try { disk.datasync(chunk.descriptor) } catch {}",
    tests: [of("store/durability")]
  },
  {
    name: "a chunk that is found is not synced",
    file: "src/store/storeBlocks.ts",
    from: "{ hashed: true, sync: true }",
    to: "{ hashed: true, sync: false }",
    tests: [of("store/durability")]
  },
  {
    name: "the folders of new chunks are not synced",
    file: "src/operation/chunk.ts",
    from: "  yield* store.sync(foldersOf(map))\n",
    to: "",
    tests: [crash("the first backup")]
  },
  {
    name: "the folder of a chunk that is found is not synced",
    file: "src/store/storeBlocks.ts",
    from: "    batch.folders.add(ChunkFile.folderOf(hex))\n    if (present.state === \"good\") {",
    to: "    if (present.state !== \"good\") batch.folders.add(ChunkFile.folderOf(hex))\n    if (present.state === \"good\") {",
    tests: [second("backup", "the first backup")]
  },
  {
    name: "a folder of chunks is not synced",
    file: "src/store/ChunkStore.ts",
    from: "(folder) => Durable.syncDirectory(`${root}/${folder}`)",
    to: "() => Effect.void",
    tests: [crash("the first backup")]
  },
  {
    name: "the folder that holds the folders of chunks is not synced",
    file: "src/store/ChunkStore.ts",
    from: "Effect.zipRight(Durable.syncDirectory(root), Durable.syncDirectory(directory))",
    to: "Durable.syncDirectory(directory)",
    tests: [crash("the first backup"), second("backup", "the first backup")]
  },
  {
    name: "the folders of chunks healed while comparing are not synced",
    file: "src/operation/compare.ts",
    from: "yield* store.sync([...folders])",
    to: "",
    tests: [crash("a backup over a base that is damaged without anybody knowing")]
  },
  {
    name: "the folders of healed chunks are not synced before trust is given back",
    file: "src/operation/heal.ts",
    from: "yield* store.sync(there.filter(",
    to: "void (there.filter(",
    tests: [second("verify", "a backup that heals damaged and missing chunks")]
  },
  {
    name: "a revision is verified again without syncing the folders of its chunks",
    file: "src/operation/recordFindings.ts",
    from: "if (!revision.isTrusted && verified.isTrusted) yield* syncDoubted(revision)",
    to: "",
    tests: [second("verify", "a backup that heals damaged and missing chunks")]
  },
  {
    name: "a revision becomes whole again without syncing the folders of its chunks",
    file: "src/operation/heal.ts",
    from: "    yield* syncDoubted(revision)\n",
    to: "",
    tests: [of("operation/heal", "belie")]
  },
  {
    name: "the folders of an increment's chunks are not synced",
    file: "src/operation/chunkChanges.ts",
    from: "  yield* store.sync(foldersOf(map))\n",
    to: "",
    tests: [of("operation/samples", "power loss")]
  },
  {
    name: "the folders of chunks healed by samples are not synced",
    file: "src/operation/compareSamples.ts",
    from: "yield* store.sync([...folders])",
    to: "",
    tests: [of("operation/samples", "power loss")]
  },
  {
    name: "metadata is not synced",
    file: "src/platform/Durable.ts",
    from: "restore(Effect.zipRight(file.writeAt(bytes, 0), file.sync))",
    to: "restore(file.writeAt(bytes, 0))",
    tests: [of("platform/Durable")]
  },
  {
    name: "metadata is renamed before it is synced",
    file: "src/platform/Durable.ts",
    from: "        return restore(Effect.zipRight(file.writeAt(bytes, 0), file.sync))\n      }).pipe(\n" +
      "        Effect.zipRight(Effect.mapError(system.rename(temporary, path), (error) => fromPlatform(error, path))),\n",
    to: "        return restore(Effect.zipRight(file.writeAt(bytes, 0), Effect.zipRight(" +
      "Effect.mapError(system.rename(temporary, path), (error) => fromPlatform(error, path)), file.sync)))\n      }).pipe(\n",
    tests: [of("platform/Durable"), crash("tags")]
  },
  {
    name: "metadata is written in place",
    file: "src/platform/Durable.ts",
    from: "const temporary = join(directory, temporaryName(basename(path), yield* unique))",
    to: "yield* unique\n    const temporary = path",
    tests: [of("platform/Durable"), crash("tags")]
  },
  {
    name: "directories are not synced",
    file: "src/platform/Durable.ts",
    from: "(directory) => directory.sync)",
    to: "() => Effect.void)",
    tests: [of("platform/Durable")]
  },
  {
    name: "the directory is not synced after metadata was replaced",
    file: "src/platform/Durable.ts",
    from: "    yield* syncDirectory(directory)\n",
    to: "",
    tests: [of("platform/Durable"), fault("tags")]
  },
  {
    name: "a new directory is not synced in its parent",
    file: "src/platform/Files.ts",
    from: "    yield* syncDirectory(dirname(path))\n",
    to: "",
    tests: [of("platform/FileSystem"), of("platform/Durable"), of("store/ChunkStore"), crash("the first backup")]
  },
  {
    name: "the directory is not synced between removing a revision and its map",
    file: "src/repository/Repository.ts",
    from: "yield* Files.removeIfPresent(revisionPath(id))\n          yield* Durable.syncDirectory(directory)",
    to: "yield* Files.removeIfPresent(revisionPath(id))",
    tests: [crash("forget, and purge at once"), fault("forget, and purge at once")]
  },
  {
    name: "the map goes before its revision",
    file: "src/repository/Repository.ts",
    from: "yield* Files.removeIfPresent(revisionPath(id))\n",
    to: "yield* removeParts(id)\n          yield* Files.removeIfPresent(revisionPath(id))\n",
    tests: [crash("forget, and purge at once")]
  },
  {
    name: "purge does not sync the directory before the first chunk goes",
    file: "src/operation/purge.ts",
    from: "if (!options.dryRun) yield* Durable.syncDirectory(repository.directory)",
    to: "",
    tests: [of("operation/purge", "durable")]
  },
  {
    name: "a restored file is not synced",
    file: "src/operation/restoreTarget.ts",
    from: "  yield* file.sync\n  const published",
    to: "  const published",
    tests: [of("operation/restore"), crash("restore to a new file")]
  },
  {
    name: "the directory of a restored file is not synced",
    file: "src/operation/partial.ts",
    from: "        Durable.syncDirectory(dirname(path))",
    to: "        Effect.void",
    tests: [of("operation/restore", "durably"), fault("restore to a new file")]
  },
  {
    name: "an overwritten file is not synced",
    file: "src/operation/restoreTarget.ts",
    from: "Effect.zipRight(restore(file.sync), Finished",
    to: "Effect.zipRight(Effect.void, Finished",
    tests: [of("operation/restore"), fault("restore over a file")]
  },
  {
    name: "a new file appears under its name before it is whole",
    file: "src/operation/partial.ts",
    from: "const partial = join(dirname(path), yield* partialName(basename(path)))",
    to: "const partial = path",
    tests: [of("operation/restore", "partial"), crash("restore to a new file")]
  },
  {
    name: "standard output is not synced when it is a file",
    file: "src/operation/restore.ts",
    from: "restore(output.finish)",
    to: "Effect.void",
    tests: [of("end-to-end/calls", "restores")],
    built: true
  },
  {
    name: "files of the block loops are not synced",
    file: "src/platform/nodeDisk.ts",
    from: "sync: (descriptor) => FS.fsyncSync(descriptor),",
    to: "sync: () => {},",
    tests: [of("end-to-end/calls", "finds")],
    built: true
  },
  {
    name: "the data of chunks is not synced by the kernel",
    file: "src/platform/nodeDisk.ts",
    from: "datasync: (descriptor) => FS.fdatasyncSync(descriptor),",
    to: "datasync: () => {},",
    tests: [of("end-to-end/calls", "syncs every")],
    built: true
  },
  {
    name: "metadata and directories are not synced by the kernel",
    file: "src/platform/nodeBlockFile.ts",
    from: "sync: (descriptor) => call<void>((done) => FS.fsync(descriptor, done)),",
    to: "sync: () => Effect.void,",
    tests: [of("end-to-end/calls", "syncs every")],
    built: true
  },
  {
    name: "an image is not synced",
    file: "src/operation/cowImage.ts",
    from: "        yield* file.sync\n        // what is read back",
    to: "        // what is read back",
    tests: [of("operation/cowfile", "behind its back")]
  },
  {
    name: "an image that is published is not synced with its mode",
    file: "src/operation/cowImage.ts",
    from: "    yield* files.withFile(path, { access: \"read\" }, (file) => file.sync)\n",
    to: "",
    tests: [crash("the first backup as an image")]
  },
  {
    name: "a block of an image that is written anew is not synced",
    file: "src/store/imageFile.ts",
    from: "    disk.datasync(descriptor)\n",
    to: "",
    tests: [of("store/durability", "written anew")]
  },
  {
    name: "converted chunks' folders are not synced",
    file: "src/operation/convert.ts",
    from: "yield* store.sync([...folders])",
    to: "",
    tests: [crash("upgrade of images"), crash("upgrade of what backy 2.5 wrote")]
  },
  {
    name: "an upgrade replaces the old before its commit",
    file: "src/operation/upgrade.ts",
    from: "[repository.publish(current), done, repository.settle(current)]",
    to: "[repository.settle(current), repository.publish(current), done]",
    tests: [of("operation/upgrade")]
  },
  {
    name: "no incomplete revision is published before the source is touched",
    file: "src/operation/backup.ts",
    from: "  yield* repository.publish(incomplete)\n",
    to: "",
    tests: [of("source/CephRbdSource", "only when its revision")]
  },
  {
    name: "a snapshot is made that was not noted",
    file: "src/source/CephRbdSource.ts",
    from: "      yield* Effect.mapError(Notes.add(directory, Rbd.format(image, name)), notReady)\n",
    to: "",
    tests: [of("source/CephRbdSource")]
  },
  {
    name: "the folder of a chunk that is put by itself is not synced",
    file: "src/store/ChunkStore.ts",
    from: "            Effect.tap((id) => provided(syncFolders(root, directory, [ChunkFile.folderOf(id)])))\n",
    to: "",
    tests: [of("store/ChunkStore")]
  },
  {
    name: "standard output is never synced",
    file: "src/cli/Stdout.ts",
    from: "    sync: isDurable\n",
    to: "    sync: false\n",
    tests: [of("end-to-end/calls", "restores")],
    built: true
  },
  {
    name: "an error of syncing standard output is not told",
    file: "src/cli/Stdout.ts",
    from: "Effect.fail(fromUnknown(\"sync\", NAME, error))",
    to: "Effect.void",
    tests: [of("end-to-end/calls", "cannot be synced")],
    built: true
  },
  {
    name: "an error of syncing a file is not told",
    file: "src/platform/BlockFile.ts",
    from: "    sync: call(\"sync\", () => driver.sync(descriptor)),",
    to: "    sync: Effect.ignore(call(\"sync\", () => driver.sync(descriptor))),",
    tests: [of("operation/restore", "whichever sync")]
  },
  {
    name: "an error of closing a file is not told",
    file: "src/platform/BlockFile.ts",
    from: "      return driver.close(descriptor)\n",
    to: "      return Effect.ignore(driver.close(descriptor))\n",
    tests: [of("platform/BlockFile"), of("operation/restore"), fault("restore to a new file")]
  },
  {
    name: "an error of closing a chunk is not told",
    file: "src/store/chunkFile.ts",
    from: "        disk.close(chunk.descriptor)\n",
    to: "        try { disk.close(chunk.descriptor) } catch {}\n",
    tests: [of("store/durability"), of("store/Blocks"), fault("the first backup")]
  },
  {
    name: "an error of closing a file of the block loops is not told",
    file: "src/store/chunkFile.ts",
    from: "  disk.close(descriptor)\n  return result",
    to: "  try { disk.close(descriptor) } catch {}\n  return result",
    tests: [of("operation/restore", "close")]
  },
  {
    name: "a part of a chunk counts as all of it when the disk takes no more at once",
    file: "src/store/chunkFile.ts",
    from: "    if (count === 0) throw errnoError(\"EIO\", \"write\", path)\n    done += count",
    to: "    done = buffer.byteLength",
    tests: [of("store/Blocks"), of("simulation/faults", "few bytes")]
  },
  {
    name: "a part of the metadata counts as all of it when the disk takes no more at once",
    file: "src/platform/BlockFile.ts",
    from: "          return yield* new IoError({ operation: \"write\", path, code: \"EIO\", detail: \"nothing was written\" })\n        }\n        done += count",
    to: "        }\n        done = bytes.length",
    tests: [of("platform/BlockFile"), of("simulation/faults", "few bytes")]
  },
  {
    name: "a revision counts as complete from its beginning",
    file: "src/operation/backup.ts",
    from: "    trust: \"trusted\",\n    stats: {}\n",
    to: "    trust: \"trusted\",\n    stats: { duration: 0 }\n",
    tests: [of("operation/backup"), crash("the first backup")]
  },
  {
    name: "the note of a snapshot goes before the snapshot",
    file: "src/source/CephRbdSource.ts",
    from: "(name) => removeOne(id, name, Notes.remove(directory, Rbd.format(image, name))),",
    to: "(name) => Effect.zipRight(Notes.remove(directory, Rbd.format(image, name)), removeOne(id, name, Effect.void)),",
    tests: [of("source/CephRbdSource")]
  },
  {
    name: "a backup that fails forgets a snapshot that may still come",
    file: "src/source/CephRbdSource.ts",
    from: "removeOne(id, name, Effect.void), TIDY_LIMIT",
    to: "removeAll(directory, id, [name]), TIDY_LIMIT",
    tests: [of("source/CephRbdSource")]
  },
  {
    name: "the snapshot of the base goes although no revision was made",
    file: "src/source/CephRbdSource.ts",
    from: "          isPublished\n            ?",
    to: "          isPublished || name !== \"\"\n            ?",
    tests: [of("source/CephRbdSource")]
  }
]

/** @type {ReadonlyArray<Mutation>} */
const locks = [
  ["backup", "src/operation/backup.ts", "  yield* locks.forBackup(options.wait)\n", "backup"],
  ["purge", "src/operation/purge.ts", "  if (!options.dryRun) yield* locks.forPurge(options.wait)\n", "purge"],
  ["expire", "src/operation/expire.ts", "  if (!options.dryRun) yield* locks.forEdit(options.wait)\n", "expire"],
  ["forget", "src/operation/forget.ts", "  yield* locks.forEdit(options.wait)\n", "forget"],
  ["tags", "src/operation/tags.ts", "  yield* locks.forEdit(options.wait)\n", "tags"],
  ["distrust", "src/operation/distrust.ts", "  yield* locks.forEdit(options.wait)\n", "distrust"],
  ["reports delete", "src/operation/reports.ts", "  yield* locks.forEdit(options.wait)\n", "reports delete"],
  [
    "restore",
    "src/operation/restore.ts",
    "  yield* isRollback ? locks.forRecording(options.wait) : locks.forReading(options.wait)\n",
    "restore"
  ]
].map(([name = "", file = "", from = "", test = ""]) => ({
  name: `${name} takes no lock`,
  file,
  from,
  to: "",
  tests: [locked(test)]
}))

/** @type {ReadonlyArray<Mutation>} */
const moreLocks = [
  {
    name: "upgrade takes no lock",
    file: "src/operation/upgrade.ts",
    from: "    yield* locks.forBackup(wait)\n",
    to: "",
    tests: [of("operation/upgrade", "gives way")]
  },
  {
    name: "verify takes no lock while it reads",
    file: "src/operation/verify.ts",
    from: "    yield* locks.forReading(options.wait)\n",
    to: "",
    tests: [of("operation/locks", "are let go by verify"), of("operation/verify")]
  },
  {
    name: "verify takes no lock when it records",
    file: "src/operation/verify.ts",
    from: "Effect.either(locks.forRecording(options.wait))",
    to: "Effect.succeed(Either.right(undefined))",
    tests: [of("operation/locks", "says what verify takes"), of("operation/locks")]
  },
  {
    name: "a backup does not keep purges away",
    file: "src/repository/locks.ts",
    from: "Effect.zipRight(take(\".backup\", \"exclusive\", wait), take(\".purge\", \"shared\", Duration.max(wait, PURGE_PATIENCE)))",
    to: "take(\".backup\", \"exclusive\", wait)",
    tests: [of("operation/locks")]
  },
  {
    name: "a purge does not keep backups away",
    file: "src/repository/locks.ts",
    from: "Effect.zipRight(take(\".backup\", \"exclusive\", wait), take(\".purge\", \"exclusive\", wait))",
    to: "take(\".purge\", \"exclusive\", wait)",
    tests: [of("operation/locks", "says what purge takes"), of("simulation/concurrency")]
  },
  {
    name: "a purge does not keep readers away",
    file: "src/repository/locks.ts",
    from: "Effect.zipRight(take(\".backup\", \"exclusive\", wait), take(\".purge\", \"exclusive\", wait))",
    to: "take(\".backup\", \"exclusive\", wait)",
    tests: [of("operation/locks", "says what purge takes"), of("simulation/concurrency")]
  },
  {
    name: "readers lock nothing",
    file: "src/repository/locks.ts",
    from: "takeIfPossible(\".purge\", \"shared\", wait)\n\n",
    to: "Effect.zipRight(takeIfPossible(\".purge\", \"shared\", wait), Effect.void).pipe(Effect.scoped)\n\n",
    tests: [of("operation/locks", "holds its locks")]
  },
  {
    name: "a lock on a file that was replaced counts",
    file: "src/platform/lockFile.ts",
    from: "return ours.dev === named.dev && ours.ino === named.ino",
    to: "return ours.dev === named.dev || ours.ino === named.ino",
    tests: [of("platform/FileLock")]
  },
  {
    name: "a lock that others hold counts as ours",
    file: "src/platform/nodeFileLock.ts",
    from: "if (exitCode === 1 && stderr === \"\") return resume(Effect.succeed(false))",
    to: "if (exitCode === 1 && stderr === \"\") return resume(Effect.succeed(true))",
    tests: [of("platform/FileLock")]
  },
  {
    name: "a flock program that fails counts as having locked",
    file: "src/platform/nodeFileLock.ts",
    from: "      fail(/no locks available",
    to: "      resume(Effect.succeed(true))\n      fail(/no locks available",
    tests: [of("platform/FileLock")]
  },
  {
    name: "nobody signs a lock",
    file: "src/platform/lockFile.ts",
    from: "sign(disk, descriptor, `${yield* holderText}\\n`)",
    to: "yield* holderText",
    tests: [of("platform/FileLock")]
  },
  {
    name: "two schedulers run on one directory",
    file: "src/daemon/Daemon.ts",
    from: "locks.acquire(`${baseDir}/.lock`, \"exclusive\")",
    to: "locks.acquire(`${baseDir}/.lock`, \"shared\")",
    tests: [of("daemon/Daemon")]
  },
  {
    name: "a new file replaces one that was made meanwhile",
    file: "src/operation/partial.ts",
    from: "yield* Effect.either(Files.link(file.path, path))",
    to: "yield* Effect.either(Files.rename(file.path, path))",
    tests: [of("operation/restoreTarget"), of("simulation/concurrency")]
  },
  {
    name: "a target that another one took the place of counts as restored",
    file: "src/operation/restoreTarget.ts",
    from: "if (now === undefined || !isSame(now, stat)) {",
    to: "if (now === undefined) {",
    tests: [of("operation/restoreTarget")]
  },
  {
    name: "a target is not locked",
    file: "src/operation/restoreTarget.ts",
    from: "    locks.acquireOpen(file),",
    to: "    Effect.as(Effect.void, locks).pipe(Effect.asVoid) as ReturnType<typeof locks.acquireOpen>,",
    tests: [of("operation/restoreTarget")]
  },
  {
    name: "a device that holds something is overwritten without force",
    file: "src/operation/restoreTarget.ts",
    from: "if (content !== undefined) return yield* refuse(`${content}",
    to: "if (content === \"\") return yield* refuse(`${content}",
    tests: [of("operation/restoreTarget")]
  },
  {
    name: "whoever has ended keeps its name on a lock",
    file: "src/platform/lockFile.ts",
    from: "    if (mode === \"exclusive\") sign(disk, descriptor, \"\")\n",
    to: "",
    tests: [of("platform/FileLock")]
  }
]

/** @type {ReadonlyArray<Mutation>} */
const programs = [
  {
    name: "the exit code of a program is not checked",
    file: "src/platform/Process.ts",
    from: "return exitCode === 0",
    to: "return exitCode >= 0",
    tests: [of("platform/Process")]
  },
  {
    name: "a program that was killed counts as ended",
    file: "src/platform/nodeProcess.ts",
    from: "if (exitCode === null) return yield* failed(\"signal\", { signal: signal ?? \"a signal\" })",
    to: "if (exitCode === null) return { exitCode: 0, stderr }",
    tests: [of("platform/Process")]
  },
  {
    name: "a program that did not read all of its input counts",
    file: "src/platform/nodeProcess.ts",
    from: "if (exitCode === 0 && !(yield* Deferred.await(fed))) return yield* failed(\"input\")",
    to: "",
    tests: [of("platform/Process")]
  },
  {
    name: "the exit code behind a stream is not checked",
    file: "src/platform/nodeProcess.ts",
    from: "Stream.drain(Stream.fromEffect(check))",
    to: "Stream.drain(Stream.fromEffect(Effect.ignore(check)))",
    tests: [of("platform/Process"), of("ceph/rbdProgram")]
  },
  {
    name: "the exit code of rbd is not checked",
    file: "src/ceph/rbdProgram.ts",
    from: "        (result) => succeeded(program, args, result)\n      ).pipe(",
    to: "        (result) => Effect.succeed(result)\n      ).pipe(",
    tests: [of("ceph/rbdProgram")]
  },
  {
    name: "the exit code of rbd import is not checked",
    file: "src/ceph/rbdProgram.ts",
    from: "Effect.flatMap((result) => succeeded(program, args, result)),\n            Effect.mapError((error) => error instanceof",
    to: "Effect.mapError((error) => error instanceof",
    tests: [of("ceph/rbdProgram")]
  },
  {
    name: "an imported image gets its name although the import failed",
    file: "src/operation/restoreImage.ts",
    from: "yield* rbd.importImage(partial, toBeWritten).pipe(",
    to: "yield* Effect.ignore(rbd.importImage(partial, toBeWritten)).pipe(",
    tests: [of("operation/restoreImage")]
  },
  {
    name: "a diff without its end mark counts",
    file: "src/platform/RbdDiff.ts",
    from: "finish: () => part === \"nothing\" ?",
    to: "finish: () => part !== \"magic\" ?",
    tests: [of("platform/RbdDiff")]
  },
  {
    name: "bytes behind the end mark of a diff are ignored",
    file: "src/platform/RbdDiff.ts",
    from: "if (part === \"nothing\") return invalid(\"bytes after the end mark\")",
    to: "if (part === \"nothing\") return Either.right(events)",
    tests: [of("platform/RbdDiff")]
  },
  {
    name: "a record of a diff may lie behind the image's end",
    file: "src/platform/RbdDiff.ts",
    from: "if (offset + length > BigInt(header.size ?? 0)) {",
    to: "if (offset > BigInt(header.size ?? 0)) {",
    tests: [of("platform/RbdDiff")]
  },
  {
    name: "the diff between other snapshots counts",
    file: "src/platform/RbdDiff.ts",
    from: "if (name !== expected[key]) {",
    to: "name = expected[key] ?? name\n    if (name.length < 0) {",
    tests: [of("platform/RbdDiff")]
  },
  {
    name: "a diff that does not name its snapshots counts",
    file: "src/platform/RbdDiff.ts",
    from: "if (header[key] !== expected[key]) return",
    to: "if (header[key] !== undefined && header[key] !== expected[key]) return",
    tests: [of("platform/RbdDiff")]
  },
  {
    name: "the diff of an image of another size counts",
    file: "src/source/CephRbdSource.ts",
    from: "Option.isSome(header) && header.value.size !== to.size",
    to: "Option.isSome(header) && header.value.size < 0",
    tests: [of("source/CephRbdSource")]
  },
  {
    name: "the exit code of a job's backup is not checked",
    file: "src/daemon/JobRunner.ts",
    from: "if (result.exitCode !== 0) {",
    to: "if (result.exitCode < 0) {",
    tests: [of("daemon/JobRunner")]
  },
  {
    name: "a backup that failed for want of room is not followed by expire and purge",
    file: "src/daemon/JobRunner.ts",
    from: "if (noRoom === undefined) return failure",
    to: "if (failure.isStalled || noRoom !== undefined || noRoom === undefined) return failure",
    tests: [of("daemon/JobRunner")]
  },
  {
    name: "what a killed command has started goes on",
    file: "src/platform/runningPrograms.ts",
    from: "if (!outlives) guard()",
    to: "if (pid < 0) guard()",
    tests: [of("platform/runningPrograms")]
  },
  {
    name: "the exit code of expire and purge is not checked",
    file: "src/daemon/JobRunner.ts",
    from: "if (result.exitCode === 0) return undefined",
    to: "if (result.exitCode >= 0) return undefined",
    tests: [of("daemon/JobRunner")]
  },
  {
    name: "the exit code of the callback is not checked",
    file: "src/daemon/JobRunner.ts",
    from: "called.exitCode === 0\n",
    to: "called.exitCode >= 0\n",
    tests: [of("daemon/JobRunner")]
  },
  {
    name: "the exit code of status, whose output the callback gets, is not checked",
    file: "src/daemon/JobRunner.ts",
    from: "if (status.exitCode !== 0) return",
    to: "if (status.exitCode < 0) return",
    tests: [of("daemon/JobRunner")]
  },
  {
    name: "a backup that finds its repository locked counts as failed",
    file: "src/daemon/JobRunner.ts",
    from: "if (result.exitCode === BUSY) return",
    to: "if (result.exitCode < 0) return",
    tests: [of("daemon/JobRunner")]
  },
  {
    name: "a job's backup that made no revision counts",
    file: "src/daemon/JobRunner.ts",
    from: "if (!made.revisions.some(({ id, isComplete }) => isComplete && !known.has(id))) {",
    to: "if (known.size < 0) {",
    tests: [of("daemon/JobRunner")]
  },
  {
    name: "a job's backup that left an incomplete revision counts",
    file: "src/daemon/JobRunner.ts",
    from: "isComplete && !known.has(id)",
    to: "!known.has(id)",
    tests: [of("daemon/JobRunner")]
  },
  {
    name: "qemu-nbd's end is not noticed",
    file: "src/ceph/rbdReader.ts",
    from: "        Effect.raceFirst(Deferred.await(ended))\n",
    to: "",
    tests: [of("ceph/rbdProgram", "server for samples")]
  },
  {
    name: "an error that an NBD server answers is not told",
    file: "src/nbd/Client.ts",
    from: "if (reply.error !== 0) return",
    to: "if (reply.error < 0) return",
    tests: [of("nbd/Client")]
  },
  {
    name: "the answer to another request of an NBD server counts",
    file: "src/nbd/Client.ts",
    from: "|| reply.cookie !== cookie",
    to: "",
    tests: [of("nbd/Client")]
  },
  {
    name: "a mapped snapshot that ends early counts as read",
    file: "src/ceph/rbdReader.ts",
    from: "return count === length ? bytes",
    to: "return count <= length ? bytes",
    tests: [of("ceph/rbdProgram"), of("ceph")]
  },
  {
    name: "a snapshot that is removed while its diff is made is not noticed",
    file: "src/source/CephRbdSource.ts",
    from: "        Stream.concat(Stream.drain(Stream.fromEffect(undisturbed)))\n",
    to: "",
    tests: [of("source/CephRbdSource")]
  },
  {
    name: "the status of Consul's answers is not checked",
    file: "src/platform/Consul.ts",
    from: "if (response.status === 200) {",
    to: "if (response.status > 0) {",
    tests: [of("platform/Consul")]
  },
  {
    name: "backy itself ends with 0 although it failed",
    file: "src/main.ts",
    from: "Effect.tap((result) => Effect.sync(() => code = result)),",
    to: "Effect.tap(() => Effect.sync(() => code = 0)),",
    tests: [of("end-to-end/damage"), of("end-to-end/commands")],
    built: true
  },
  {
    name: "backy itself ends like any failure when it finds a repository locked",
    file: "src/cli/exit.ts",
    from: "  LockHeld: locked,",
    to: "  LockHeld: failed,",
    tests: [of("cli/commands"), of("cli/maintenance"), of("cli/exit")]
  }
]

/** @type {ReadonlyArray<Mutation>} */
const checks = [
  {
    name: "the hash of a chunk is not checked",
    file: "src/store/chunkFile.ts",
    from: "options.hashed && toHex(tools.hash(content)) !== hex",
    to: "options.hashed && content.length === 0",
    tests: [of("operation/verify")]
  },
  {
    name: "a chunk found in the repository is believed by its name",
    file: "src/store/storeBlocks.ts",
    from: "{ hashed: true, sync: true }",
    to: "{ hashed: false, sync: true }",
    tests: [of("operation/heal", "not believed")]
  },
  {
    name: "a torn chunk found in the repository is reused",
    file: "src/store/storeBlocks.ts",
    from: "    if (present.state === \"good\") {\n      release(present.content)",
    to: "    if (present.state !== \"missing\") {\n      if (present.state === \"good\") release(present.content)",
    tests: [of("operation/heal", "not believed"), crash("a backup over torn chunks that no revision names")]
  },
  {
    name: "what follows a zstd frame is ignored",
    file: "src/store/codec.ts",
    from: "return engine.bytesWritten === frame.byteLength ? buffer : undefined",
    to: "return engine.bytesWritten >= 0 ? buffer : undefined",
    tests: [of("store/codec")]
  },
  {
    name: "a bomb is decompressed to its end",
    file: "src/store/codec.ts",
    from: "maxOutputLength: Math.max(1, limit),",
    to: "",
    tests: [of("store/codec", "more than the limit")]
  },
  {
    name: "a chunk file of any size is read",
    file: "src/store/chunkFile.ts",
    from: "if (size > maxFileLength(length)) {",
    to: "if (size > 2 ** 40) {",
    tests: [of("store/Blocks"), of("end-to-end/bombs")],
    built: true
  },
  {
    name: "metadata of any size is read",
    file: "src/platform/Durable.ts",
    from: "if (size > maxBytes) return yield* tooLarge()",
    to: "",
    tests: [of("platform/Durable")]
  },
  {
    name: "one reading is enough for damage",
    file: "src/store/readBlocks.ts",
    from: "    if (found.state === \"damaged\") found = readHeld(bench, request, index, hex)\n",
    to: "",
    tests: [of("operation/restore", "second time")]
  },
  {
    name: "an I/O error counts as damage",
    file: "src/store/readBlocks.ts",
    from: "return { bad: { index, id: hex, state: \"unreadable\", why } }",
    to: "return { bad: { index, id: hex, state: \"damaged\", why } }",
    tests: [of("operation/verify", "unreadable")]
  },
  {
    name: "bad chunks are not read again with the locks held",
    file: "src/operation/recordFindings.ts",
    from: "const wrong = yield* stillWrong(examination)",
    to: "const wrong = yield* Effect.as(stillWrong(examination), examination.wrong)",
    tests: [of("operation/verify", "holds the locks")]
  },
  {
    name: "only the revisions that were asked for are distrusted",
    file: "src/operation/recordFindings.ts",
    from: "distrustOwners(wrong, examination.examined, history.complete, at, record)",
    to: "distrustOwners(wrong, examination.examined, examination.examined.map(({ revision }) => revision), at, record)",
    tests: [of("operation/verify", "distrusts all")]
  },
  {
    name: "the digest of a map is not checked",
    file: "src/repository/Image.ts",
    from: "revision.mapDigest !== MapFile.digestOf(bytes)",
    to: "bytes.length === 0",
    tests: [of("repository/Repository"), of("operation")]
  },
  {
    name: "the size of a map is not compared with the revision's",
    file: "src/repository/Image.ts",
    from: "revision.size === undefined || revision.size !== map.size",
    to: "revision.size === undefined || map.size < 0",
    tests: [of("repository/Repository")]
  },
  {
    name: "metadata of one revision is believed under the name of another",
    file: "src/repository/readRevision.ts",
    from: "if (fields.id !== id) return",
    to: "if (fields.id.length === 0) return",
    tests: [of("repository/Repository")]
  },
  {
    name: "the source is not compared with what was stored",
    file: "src/operation/backup.ts",
    from: "if (differences.length > 0) {",
    to: "if (differences.length < 0) {",
    tests: [of("operation/backup", "hold still")]
  },
  {
    name: "a stored chunk counts as equal to the source when it can be decoded",
    file: "src/store/blockPieces.ts",
    from: "Buffer.compare(part, expected.subarray(at, end)) === 0) continue",
    to: "expected.byteLength >= end) continue",
    tests: [of("store/Blocks"), of("operation/backup", "hold still")]
  },
  {
    name: "holes are not compared with the source",
    file: "src/store/blockPieces.ts",
    from: "if (expected === undefined ? isZero(part)",
    to: "if (expected === undefined ? part.byteLength > 0",
    tests: [of("store/Blocks"), of("operation/backup", "hold still")]
  },
  {
    name: "a source that was written to meanwhile is accepted",
    file: "src/operation/compare.ts",
    from: "if (differences.length === 0) yield* content.unchanged",
    to: "",
    tests: [of("operation/backup", "touched")]
  },
  {
    name: "another file in the source's place is not noticed",
    file: "src/source/FileSource.ts",
    from: "if (!isSame(before, after)) return",
    to: "if (before.dev !== after.dev) return",
    tests: [of("operation/backup", "another file"), of("source/FileSource")]
  },
  {
    name: "what heals a chunk is not hashed",
    file: "src/store/compareBlocks.ts",
    from: "if (toHex(tools.hash(block)) !== hex) return",
    to: "",
    tests: [of("store/Blocks", "heals given"), of("operation/heal")]
  },
  {
    name: "what heals a chunk while comparing is not hashed",
    file: "src/store/compareBlocks.ts",
    from: "if (sourceHash === hex) {",
    to: "if (sourceHash !== \"\") {",
    tests: [of("store/Blocks"), of("operation/backup", "hold still")]
  },
  {
    name: "what heals a chunk from a snapshot is not hashed",
    file: "src/operation/heal.ts",
    from: "if (id === undefined || Option.isNone(block) || Hash.toHex(hash(block.value)) !== id) continue",
    to: "if (id === undefined || Option.isNone(block)) continue",
    tests: [of("operation/samples")]
  },
  {
    name: "trust is given back without reading the chunks",
    file: "src/operation/heal.ts",
    from: "for (const chunk of checked.bad) good.delete(StoredId.nameOf(chunk.id))",
    to: "for (const chunk of checked.bad) good.has(StoredId.nameOf(chunk.id))",
    tests: [of("operation/heal", "cannot heal")]
  },
  {
    name: "chunks that the base promises are not looked for",
    file: "src/operation/missing.ts",
    from: "if (!ChunkMap.isHole(map, index) && !present.has(map.ids, index * ChunkId.BYTES)) missing.push(index)",
    to: "present.has(map.ids, index * ChunkId.BYTES)",
    tests: [of("operation/heal", "lost all"), of("operation/samples"), of("source/CephRbdSource")]
  },
  {
    name: "a distrusted revision is a base",
    file: "src/operation/base.ts",
    from: "if (!revision.isTrusted || revision.backendType",
    to: "if (revision.backendType",
    tests: [of("operation/heal", "no base")]
  },
  {
    name: "a distrusted revision is the base of an increment",
    file: "src/operation/base.ts",
    from: "complete.toReversed().filter(({ isTrusted }) => isTrusted)",
    to: "complete.toReversed()",
    tests: [of("operation/samples"), of("source/CephRbdSource")]
  },
  {
    name: "a distrusted image is a base",
    file: "src/operation/cowImage.ts",
    from: "if (!revision.isTrusted || !revision.isImage) continue",
    to: "if (!revision.isImage) continue",
    tests: [of("operation/cowfile")]
  },
  {
    name: "the blocks of an image are not hashed",
    file: "src/store/imageFile.ts",
    from: "return toHex(hash(buffer)) === hex",
    to: "return toHex(hash(buffer)).length === hex.length",
    tests: [of("operation/cowfile")]
  },
  {
    name: "the holes of an image are not checked",
    file: "src/store/imageFile.ts",
    from: "      return isZero(buffer)\n",
    to: "      return buffer.length > 0\n",
    tests: [of("operation/cowfile")]
  },
  {
    name: "samples are not compared",
    file: "src/operation/compareSamples.ts",
    from: "if (Buffer.compare(source, bytes) !== 0) return",
    to: "if (bytes.length !== source.length) return",
    tests: [of("operation/samples")]
  },
  {
    name: "too few samples are enough",
    file: "src/operation/compareSamples.ts",
    from: "onTimeout: () => new VerificationTooSlow({ compared: done.size, of: required.length })\n    })\n  )",
    to: "onTimeout: () => new VerificationTooSlow({ compared: done.size, of: required.length })\n    }),\n    Effect.ignore\n  )",
    tests: [of("operation/samples")]
  },
  {
    name: "what a source gives a second time is not compared",
    file: "src/operation/compareAgain.ts",
    from: "if (why === undefined && before === after) continue",
    to: "if (why === undefined) continue",
    tests: [of("operation/again")]
  },
  {
    // the check of what is converted alone only saves time: comparing finds the same
    name: "an upgrade neither checks what it converts nor compares what it made",
    file: "src/operation/convert.ts",
    from: "first === undefined ? Effect.void : new NotConvertible",
    to: "first === undefined || first.why !== \"\" ? Effect.void : new NotConvertible",
    tests: [of("operation/upgrade", "damaged")]
  },
  {
    name: "an upgrade does not compare what it made",
    file: "src/operation/convert.ts",
    from: "yield* refuse(confirmed.different)",
    to: "",
    tests: [of("operation/upgrade", "read back")]
  },
  {
    name: "comparing what an upgrade made finds all equal",
    file: "src/store/readBlocks.ts",
    from: "same = Buffer.compare(old.content, made.content) === 0",
    to: "same = old.content.length === made.content.length",
    tests: [of("store/Blocks"), of("operation/upgrade")]
  },
  {
    name: "the hash of a chunk of backy 2.5 is not checked",
    file: "src/store/legacy/LegacyChunk.ts",
    from: "return found === id",
    to: "return found.length === id.length",
    tests: [of("store/legacy/LegacyChunk")]
  },
  {
    name: "purge goes on although a map is missing",
    file: "src/operation/neededChunks.ts",
    from: "if (!maps.has(revision.id)) {",
    to: "if (maps.has(\"\" as RevisionId)) {",
    tests: [of("operation/purge", "blocked")]
  },
  {
    name: "purge goes on although a map cannot be read",
    file: "src/operation/neededChunks.ts",
    from: "    const named = yield* Effect.mapError(\n      repository.references(id, known.get(id)),",
    to: "    const named = yield* Effect.mapError(\n      Effect.orElseSucceed(repository.references(id, known.get(id)), () => ({ ids: [], legacy: [] })),",
    tests: [of("operation/purge", "blocked")]
  },
  {
    name: "a restore without salvage succeeds with a bad chunk",
    file: "src/operation/restore.ts",
    from: "      yield* accept(revision, missing, salvage)\n",
    to: "",
    tests: [of("operation/restore", "bad chunks")]
  },
  {
    name: "a restore with salvage succeeds with a bad chunk",
    file: "src/operation/restore.ts",
    from: "  if (lost.length > 0) {\n    lost.sort",
    to: "  if (lost.length < 0) {\n    lost.sort",
    tests: [of("operation/restore", "salvage")]
  },
  {
    name: "a file keeps its old bytes under a restored image",
    file: "src/operation/restoreTarget.ts",
    from: "    yield* file.truncate(0)\n",
    to: "",
    tests: [of("operation/restore", "old byte")]
  },
  {
    name: "a device keeps its old bytes where the image has holes",
    file: "src/operation/restoreTarget.ts",
    from: "zeros: isDevice ? \"write\" : \"skip\"",
    to: "zeros: \"skip\"",
    tests: [of("operation/restore", "holes")]
  },
  {
    name: "a block counts as unchanged without being hashed",
    file: "src/store/blockPieces.ts",
    from: "Buffer.compare(hasher.digest(), digest) === 0 ? \"same\"",
    to: "digest.byteLength > 0 ? \"same\"",
    tests: [of("store/blockPieces"), of("store/Blocks"), of("operation/backup")]
  },
  {
    name: "a small block counts as unchanged without being hashed",
    file: "src/store/storeBlocks.ts",
    from: "if (base !== undefined && Buffer.compare(base, digest) === 0) unchanged++",
    to: "if (base !== undefined) unchanged++",
    tests: [of("store/Blocks"), of("operation/backup")]
  },
  {
    name: "a block of an image counts as unchanged whatever it hashes to",
    file: "src/store/imageFile.ts",
    from: "if (Buffer.compare(base, digest) === 0 ||",
    to: "if (!baseIsHole ||",
    tests: [of("operation/cowfile")]
  },
  {
    name: "a block counts as unchanged whatever a base without hashes has",
    file: "src/store/imageFile.ts",
    from: " && Buffer.compare(present, block) === 0",
    to: "",
    tests: [of("operation/cowfile"), of("store/Blocks")]
  },
  {
    name: "an image that is cut off counts as whole",
    file: "src/store/imageFile.ts",
    from: "if (count < buffer.byteLength) return { state: \"damaged\"",
    to: "if (count < 0) return { state: \"damaged\"",
    tests: [of("operation/cowfile"), of("operation/legacy"), of("store/Blocks")]
  },
  {
    name: "a block of an image is not compared with the source",
    file: "src/store/compareBlocks.ts",
    from: "const isSame = (found: ChunkFile.Found) => found.state === \"good\" && Buffer.compare(block, found.content) === 0",
    to: "const isSame = (found: ChunkFile.Found) => found.state === \"good\"",
    tests: [of("store/Blocks")]
  },
  {
    name: "what heals a block of an image is not hashed",
    file: "src/store/compareBlocks.ts",
    from: "(hex === null ? isZero(block) : hashOf(block) === hex)",
    to: "(hex === null ? isZero(block) : hex !== \"\")",
    tests: [of("store/Blocks")]
  },
  {
    name: "a chunk of another length counts",
    file: "src/store/chunkFile.ts",
    from: "if (content.byteLength !== length) return",
    to: "if (content.byteLength < 0) return",
    tests: [of("store/ChunkStore")]
  },
  {
    name: "a source that ends early counts, in pieces",
    file: "src/store/blockPieces.ts",
    from: "if (count < buffer.byteLength) throw",
    to: "if (count < 0) throw",
    tests: [of("store/blockPieces"), of("store/Blocks")]
  },
  {
    name: "a source that ends early counts",
    file: "src/store/blockSource.ts",
    from: "if (count < block.byteLength) throw",
    to: "if (count < 0) throw",
    tests: [of("store/Blocks"), of("operation/backup")]
  },
  {
    name: "a source of another size counts as unchanged",
    file: "src/source/FileSource.ts",
    from: "if (before.size !== after.size) return",
    to: "if (before.size < 0) return",
    tests: [of("source/FileSource"), of("operation/backup")]
  },
  {
    name: "a source that was written to counts as unchanged",
    file: "src/source/FileSource.ts",
    from: "before.mtimeNs === after.mtimeNs ? undefined : \"it was written to\"",
    to: "undefined",
    tests: [of("source/FileSource"), of("operation/backup")]
  },
  {
    name: "holes are not compared with samples",
    file: "src/operation/compareSamples.ts",
    from: "return isZero(source) ? undefined : { source",
    to: "return isZero(source) || source.length > 0 ? undefined : { source",
    tests: [of("operation/samples")]
  },
  {
    name: "chunks are not read back when their source can only be read again",
    file: "src/operation/compareAgain.ts",
    from: "for (const { index, why } of checked.bad) bad.set(index, why)",
    to: "",
    tests: [of("operation/again")]
  },
  {
    name: "a hole that an upgrade made is not compared",
    file: "src/store/readBlocks.ts",
    from: "let same = newHex === null && isZero(old.content)",
    to: "let same = newHex === null",
    tests: [of("store/Blocks"), of("operation/upgrade")]
  },
  {
    name: "what an upgrade knows is not compared with what the next revision has",
    file: "src/operation/upgrade.ts",
    from: "if (Buffer.compare(ChunkMap.idBytesAt(from, index), ChunkMap.idBytesAt(next, index)) === 0) same",
    to: "same",
    tests: [of("operation/upgrade")]
  },
  {
    name: "purge takes a revision that cannot be read for none",
    file: "src/operation/neededChunks.ts",
    from: "if (!names.has(`${id}.rev`)) {",
    to: "if (!known.has(id)) {",
    tests: [of("operation/purge")]
  },
  {
    name: "purge believes a map that was changed",
    file: "src/repository/references.ts",
    from: "if (revision?.backendType === \"chunked-v4\" && revision.isComplete) {",
    to: "if (revision?.backendType === \"chunked-v4\" && !revision.isComplete) {",
    tests: [of("operation/purge"), of("repository/Repository")]
  },
  {
    name: "purge forgets the chunks of backy 2.5",
    file: "src/operation/purge.ts",
    from: "legacy.filter(({ name }) => withLegacy && !references.has(StoredId.ofLegacyName(name), 0))",
    to: "legacy.filter(({ name }) => name !== \"\")",
    tests: [of("operation/legacy"), of("operation/purge")]
  },
  {
    name: "a chunk that was put once in a run is not looked for again",
    file: "src/store/storeBlocks.ts",
    from: "    good.delete(toHex(digest))\n",
    to: "",
    tests: [of("store/Blocks"), of("store/ChunkStore"), of("operation/samples")]
  }
]

/** All of them. */
export const mutations = [...syncs, ...locks, ...moreLocks, ...programs, ...checks]
