#pragma once

#include "polymla_backend.h"

/**
 * The functions behind the table of a library (table.h), by the names that polymla_backend.h gives them: it says what they
 * do. A library defines them; those of optional ones that it has not, it leaves out.
 */
namespace polymla::entries {

pmla_status device_count(int32_t* count, pmla_error* error);
pmla_status device_info(int32_t index, pmla_device_info* info, pmla_error* error);
pmla_status open(int32_t index, const pmla_option* options, int32_t option_count, pmla_device* device,
                 pmla_error* error);
void close(pmla_device device);
pmla_status memory_info(pmla_device device, uint64_t* total, uint64_t* available, pmla_error* error);
pmla_status alloc(pmla_device device, uint64_t bytes, void** memory, pmla_error* error);
void release(pmla_device device, void* memory);

pmla_status stream_new(pmla_device device, void* native, pmla_stream* stream, pmla_error* error);
void stream_free(pmla_stream stream);
pmla_status upload(pmla_stream stream, void* target, const void* source, uint64_t bytes, pmla_error* error);
pmla_status download(pmla_stream stream, void* target, const void* source, uint64_t bytes, pmla_error* error);
pmla_status fill(pmla_stream stream, void* target, uint8_t value, uint64_t bytes, pmla_error* error);
pmla_status copy(pmla_stream stream, void* target, const void* source, uint64_t bytes, pmla_error* error);

pmla_status event_new(pmla_device device, pmla_event* event, pmla_error* error);
void event_free(pmla_event event);
pmla_status event_record(pmla_event event, pmla_stream stream, pmla_error* error);
pmla_status event_wait(pmla_event event, pmla_stream stream, pmla_error* error);
pmla_status event_query(pmla_event event, pmla_error* error);
pmla_status event_elapsed(pmla_event earlier, pmla_event later, double* microseconds, pmla_error* error);

pmla_status capture_begin(pmla_stream stream, pmla_error* error);
pmla_status capture_end(pmla_stream stream, pmla_graph* graph, pmla_error* error);
pmla_status graph_launch(pmla_graph graph, pmla_stream stream, pmla_error* error);
void graph_free(pmla_graph graph);

pmla_status fit(pmla_device device, const pmla_problem* problem, pmla_fit* fit, pmla_error* error);
pmla_status plan_new(pmla_device device, const pmla_problem* problem, pmla_plan* plan, pmla_error* error);
void plan_free(pmla_plan plan);
pmla_status choose(pmla_plan plan, const pmla_load* load, pmla_choice* choice, pmla_error* error);
pmla_status schedule(pmla_plan plan, pmla_stream stream, const pmla_schedule_args* args, pmla_error* error);
/** A launch of any op: decode, sparse_decode, … of the table. */
pmla_status launch(uint32_t op, pmla_plan plan, pmla_stream stream, const void* args, pmla_error* error);

// Optional ones.
pmla_status event_notify(pmla_event event, void (*notify)(void* context), void* context, pmla_error* error);
pmla_status measure_peaks(pmla_device device, pmla_peaks* peaks, pmla_error* error);

}  // namespace polymla::entries
