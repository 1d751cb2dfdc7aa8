export PATH=/opt/quota-lvm/bin:/opt/quota-lvm/sbin:/usr/sbin:/usr/bin:/sbin:/bin
PS1='lab:\w# '
