/**
 * A folder that only one living process may use. The kernel takes the lock back when the process ends,
 * however it ends, so there is no stale lock and nothing to remove.
 */
import { FirewallError, fileFailure } from "../base/index.ts";
import { makeFolder } from "./durable-folder.ts";
import { close, ERRNO, flock, lastErrno, open } from "./libc.ts";
import { expectSuccess, systemError } from "./system-error.ts";

const O_DIRECTORY_CLOEXEC = 0x90000;
const LOCK_EXCLUSIVE = 2;
const LOCK_NONBLOCKING = 4;

/** The lock on a folder. */
export class FolderLock {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Takes the lock.
   *
   * @param folder - made if need be, for the owner's eyes only
   * @throws {FirewallError} `FOLDER_IN_USE` when another process has it, `FOLDER_LOCK` when it cannot be
   *   taken
   */
  static take(folder: string): FolderLock {
    try {
      makeFolder(folder);
    } catch (cause) {
      throw fileFailure("FOLDER_LOCK", `Cannot make the folder ${folder}`, cause);
    }
    const fd = expectSuccess(open(folder, O_DIRECTORY_CLOEXEC), "FOLDER_LOCK", `Cannot open ${folder}`);
    if (flock(fd, LOCK_EXCLUSIVE | LOCK_NONBLOCKING) === 0) return new FolderLock(fd);
    const errno = lastErrno();
    close(fd);
    if (errno === ERRNO.EAGAIN) {
      throw new FirewallError("FOLDER_IN_USE", `Another process uses ${folder}: stop it, or choose another.`);
    }
    throw systemError("FOLDER_LOCK", `Cannot lock ${folder}`, errno);
  }

  /** Gives the lock back. */
  release(): void {
    close(this.#fd);
  }
}
