#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
#
# Makes the host it runs on a server of storage, for any client:
#   NFS /exports/nfs, SMB share "files", iSCSI target iqn.2026-01.org.example:luns with one LUN.
set -eu

mkdir -p /exports/nfs /exports/smb
chmod 0777 /exports/smb
echo '/exports/nfs *(rw,no_root_squash,no_subtree_check)' >/etc/exports
cat >/etc/samba/smb.conf <<END
[global]
map to guest = Bad User
[files]
path = /exports/smb
guest ok = yes
read only = no
END
systemctl restart nfs-server smbd

target=iqn.2026-01.org.example:luns
truncate -s 64M /exports/lun
targetcli >/dev/null <<END
backstores/fileio create lun0 /exports/lun
iscsi/ create $target
iscsi/$target/tpg1/luns create /backstores/fileio/lun0
iscsi/$target/tpg1 set attribute authentication=0 generate_node_acls=1
iscsi/$target/tpg1 set attribute demo_mode_write_protect=0 cache_dynamic_acls=1
exit
END
