#include "sensor/godb/ownership.h"

#include "sensor/godb/daypath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PERMISSIONS = 07777, FILE_PERMISSIONS = 0666 };

/* ---- what is to be had --------------------------------------------------------------------------------- */

void gp_ownership_of_fd(int folder, gp_ownership *out)
{
    struct stat st;
    *out = (gp_ownership){.known = false};
    if (fstat(folder, &st) != 0)
        return;
    *out = (gp_ownership){.known = true,
                          .uid = st.st_uid,
                          .gid = st.st_gid,
                          .folders = st.st_mode & PERMISSIONS,
                          .files = st.st_mode & FILE_PERMISSIONS};
    if (fstatat(folder, GP_BLOCKMETA_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0)
        out->files = st.st_mode & FILE_PERMISSIONS;
}

void gp_ownership_of(const char *folder, gp_ownership *out)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *out = (gp_ownership){.known = false};
    if (fd < 0)
        return;
    gp_ownership_of_fd(fd, out);
    close(fd);
}

void gp_ownership_find(const char *db, const char *iface, gp_ownership *out)
{
    char path[GP_DB_PATH_MAX];
    *out = (gp_ownership){.known = false};
    if (gp_iface_path(db, iface, path, NULL) == GP_OK)
        gp_ownership_of(path, out);
    if (!out->known)
        gp_ownership_of(db, out);
}

/* ---- giving it ----------------------------------------------------------------------------------------- */

/* Who may not, must not: EINVAL is what an owner gets that a container does not know. */
static bool is_refusal(int error)
{
    return error == EPERM || error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
}

static bool give(int fd, uid_t uid, gid_t gid, mode_t mode)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return false;
    if (S_ISREG(st.st_mode) && st.st_nlink > 1)
        return true; /* nothing that was made here: root gives no file away that another folder has */
    /* Others than root may at least choose one of their groups. */
    if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) != 0 &&
        (!is_refusal(errno) || (fchown(fd, (uid_t)-1, gid) != 0 && !is_refusal(errno))))
        return false;
    return (st.st_mode & PERMISSIONS) == mode || fchmod(fd, mode) == 0 || is_refusal(errno);
}

bool gp_own(int fd, const gp_ownership *own)
{
    struct stat st;
    if (!own->known)
        return true;
    return fstat(fd, &st) == 0 &&
           give(fd, own->uid, own->gid, S_ISDIR(st.st_mode) ? own->folders : own->files);
}

bool gp_own_like(int fd, const struct stat *like)
{
    return give(fd, like->st_uid, like->st_gid, like->st_mode & PERMISSIONS);
}

static bool own_entry(int folder, const char *name, const gp_ownership *own)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return true;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool done = fd >= 0 && gp_own(fd, own);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return done;
}

/* The folder comes last: whoever may not enter it otherwise has its files then. */
gp_code gp_own_folder(const char *path, const gp_ownership *own, gp_error *err)
{
    gp_code code = GP_OK;
    DIR *dir = opendir(path);
    if (!dir)
        return gp_fail_errno(err, errno, "cannot open folder '%s'", path);
    for (struct dirent *e; code == GP_OK && (e = readdir(dir));)
        if (!own_entry(dirfd(dir), e->d_name, own))
            code = gp_fail_errno(err, errno, "cannot set the owner of '%s/%s'", path, e->d_name);
    if (code == GP_OK && !gp_own(dirfd(dir), own))
        code = gp_fail_errno(err, errno, "cannot set the owner of '%s'", path);
    closedir(dir);
    return code;
}
