#include "trace/trace-block_quota.h"
